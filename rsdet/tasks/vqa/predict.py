"""Prediction: pictures and questions in, answers out; each picture is encoded once, whatever is asked of it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ultralytics.cfg import DEFAULT_CFG
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import select_device

from rsdet.arguments import check_number, check_whole
from rsdet.data.decoding import within_memory
from rsdet.data.images import SUFFIXES
from rsdet.data.pictures import reader_of
from rsdet.data.questions.records import Question
from rsdet.data.sources import files_of, name_problem, tell_left_out, together
from rsdet.enhance.running import check_tiling
from rsdet.errors import ConfigError, DataError
from rsdet.names import printable
from rsdet.progress import Line
from rsdet.tasks.predicting import FilePredictor
from rsdet.tasks.vqa.answering import Answering
from rsdet.tasks.vqa.asking import Asked, typed
from rsdet.tasks.vqa.checking import BoxCheck, Synonyms
from rsdet.tasks.vqa.exported import Parts, check_side
from rsdet.tasks.vqa.outputs import AnswerFiles
from rsdet.tasks.vqa.results import Answer, VqaResults
from rsdet.tasks.vqa.scenes import Looking, ask_scene, footprint, is_scene
from rsdet.tasks.vqa.torch_answering import answering_of

_NAMED = 5  # pictures that a message names


class VqaPredict(FilePredictor):
    """Predictor of networks that answer questions.

    Attributes:
        files: What is written.
    """

    def __init__(self, cfg: Any = DEFAULT_CFG, overrides: dict[str, Any] | None = None, _callbacks: Any = None):
        super().__init__(cfg, overrides, _callbacks)
        self.files = AnswerFiles()
        self._noted: set[str] = set()

    def setup_model(self, model: Any, verbose: bool = True) -> None:
        """Take the network."""
        self.device = select_device(self.args.device, verbose=False)
        self.model = model

    def configure(
        self,
        model: Any,
        *,
        question: str | Sequence[str] | None = None,
        questions: str | Path | None = None,
        top: int = 3,
        min_confidence: float = 0.0,
        temperature: float = 1.0,
        save_attention: bool = False,
        check: str | Path | None = None,
        check_conf: float = 0.25,
        check_tolerance: int = 0,
        synonyms: Synonyms | None = None,
        tile: int | None = None,
        stretch: Sequence[float] | None = None,
        bands: int | Sequence[int] | None = None,
    ) -> None:
        """Set what the next run does beyond what Ultralytics knows.

        Args:
            model: The :class:`rsdet.RSDet`.
            question: What is asked of every picture; in Python also several in a list.
            questions: File of questions: a ``.txt`` with one a line, asked of every picture, or JSON, JSONL or CSV
                whose questions belong to its pictures. Without either, questions are asked for at the terminal.
            top: How many answers are told for each question.
            min_confidence: Probability below which no answer is given.
            temperature: That logits are divided by, as ``val`` fits it, so that probabilities are what they say.
            save_attention: Write for each answer where the network looked, as PNG.
            check: Detector (weights or exported file) that looks at the same pictures, or the same tiles: answers about
                counts and presence of its classes are compared with its boxes, which are drawn where both differ.
            check_conf: Confidence from which its boxes count.
            check_tolerance: Counts that differ by no more agree.
            synonyms: What questions call classes of the detector: ``{"vehicle": ["car", "truck"]}``, or
                ``vehicle=car+truck``.
            tile: Side of the tiles in which files are looked at in their own resolution, 0 for none: the answers of the
                tiles are merged (yes and no by OR, counts by their sum, shares by their mean), and told for each tile.
                Without it, rasters of more than 2^24 pixels are, in tiles of the side of the training pictures.
            stretch: Two values that become black and white, of rasters in tiles that are not of bytes.
            bands: Bands of the files to take, counted from 1, in the order red, green, blue.

        Raises:
            ConfigError: A value out of its range, no question, or both.
        """
        check_number("min_confidence", min_confidence, 0, 1, "a probability from 0 to 1; e.g. min_confidence=0.5")
        check_number("temperature", temperature, 0.01, 100, "a number from 0.01 to 100; e.g. temperature=1.5")
        check_whole("top", top, 1, "a whole number of 1 or more; e.g. top=3")
        check_tiling(tile, None, prefix="")
        self.asked = Asked.of(question, questions)
        if self.asked is None and tile:
            raise ConfigError("tile= needs question= or questions=; at the terminal, pictures are looked at whole.")
        self.top, self.min_confidence, self.save_attention = top, min_confidence, save_attention
        self.reader = reader_of(None, 3, bands if bands is not None else model.bands)
        self.answering = self._answering(temperature)
        check_number("check_conf", check_conf, 0, 1, "a confidence from 0 to 1; e.g. check_conf=0.25")
        check_number("check_tolerance", check_tolerance, 0, 1e9, "a number of objects; e.g. check_tolerance=1")
        if synonyms is not None and check is None:
            raise ConfigError("synonyms= says what questions call classes of a detector; add check=, or leave it out.")
        of_detector = (check_conf, check_tolerance, synonyms, self.args.device)
        self.check = None if check is None else BoxCheck(check, *of_detector)
        if self.check and self.asked and (told := self.check.in_vain(self.asked.texts)):
            LOGGER.warning(told)
        side = tile or model.yaml.get("picture_px") or _side(self.args.imgsz)
        self.tile = tile
        self.look = Looking(self.answering, self.reader, side, top, min_confidence, stretch, self._checked)
        self.skipped, self.files, self._noted = [], AnswerFiles(), set()

    # -- a run ----------------------------------------------------------------------------------------------------

    def over(self, source: Any) -> Iterator[VqaResults]:
        """Answer about one picture after the other."""
        pictures = self._sources(source)
        self.run_callbacks("on_predict_start")
        done = 0
        try:
            for result in self._typed(pictures) if self.asked is None else self._files(pictures):
                done += 1
                self._keep(result)
                yield self.done(result)
        finally:  # what was answered before an interruption is kept
            if self.args.save and self.files.pictures:
                self.files.write(self.make_folder())
            if self.check is not None and self.check.rows:
                LOGGER.info(self.check.told(self._folder()))
        if not done and not self.skipped:
            self.skipped = ["the file of questions asks nothing of these pictures"]
        self.run_callbacks("on_predict_end")
        tell_left_out(self.skipped, done)

    def _files(self, pictures: Sequence[tuple[str, Any]]) -> Iterator[VqaResults]:
        """Answers about one picture after the other."""
        if missing := self.asked.missing(Path(name) for name, _ in pictures):
            more = f" (and {len(missing) - _NAMED} more)" if len(missing) > _NAMED else ""
            named = printable(", ".join(missing[:_NAMED]))
            LOGGER.warning(f"the source has not {len(missing)} pictures that the file asks about: {named}{more}")
        for number, (name, picture) in enumerate(pictures, 1):
            asked = self.asked.about(Path(name))
            if not asked:
                continue  # a file of questions may be about a part of a folder
            began = time.perf_counter()
            head = f"image {number}/{len(pictures)} {printable(name)}"
            result = self._one(name, picture, asked, head)
            if result is None:
                continue
            self._note(result)
            result.speed["inference"] = (time.perf_counter() - began) * 1e3
            if self.args.verbose:
                LOGGER.info(f"{head}: {printable(result.summary())}, {result.speed['inference']:.0f} ms")
            yield result

    def _typed(self, pictures: Sequence[tuple[str, Any]]) -> Iterator[VqaResults]:
        """Answers to what somebody types; of each picture all of them, at the end."""
        known = [(name, read) for name, picture in pictures if (read := self._read(name, picture)) is not None]
        encoded = [self.answering.encoded(read) for _, read in known]
        asked: list[Question] = []
        for question in typed() if known else ():
            asked.append(question)
            for (name, read), cells in zip(known, encoded, strict=True):
                (answer,) = self._result(name, read, cells, [question]).answers
                others = ", ".join(f"{a} {100 * p:.0f} %" for a, p in answer.top[1:])
                said = f"{answer.given or 'not sure'} ({100 * answer.confidence:.0f} %; {others})"
                print(printable("; ".join((f"{Path(name).name}: {said}", *answer.notes))))
        if asked:
            yield from (self._result(name, read, c, asked) for (name, read), c in zip(known, encoded, strict=True))

    def _one(self, name: str, picture: Any, asked: Sequence[Question], head: str) -> VqaResults | None:
        """Answers about a picture, in tiles where it is to be parted; None where it was left out."""
        if picture is None and is_scene(Path(name), self.tile):
            try:
                with Line(head, self.args.verbose) as line:
                    return ask_scene(self.look, Path(name), asked, line)
            except DataError as e:
                self.skipped.append(str(e).rstrip("."))
                return None
        read = self._read(name, picture)
        return None if read is None else self._result(name, read, self.answering.encoded(read), asked)

    def _note(self, result: VqaResults) -> None:
        """Say once of each question what makes its answers worth less."""
        for answer in result.answers:
            if answer.notes and answer.question not in self._noted:
                LOGGER.warning(printable(f"{answer.question}: {'; '.join(answer.notes)}"))
            self._noted.add(answer.question)

    def _result(self, name: str, picture: np.ndarray, encoded: Any, asked: Sequence[Question]) -> VqaResults:
        answers = self.answering.answers(encoded, asked, self.top, self.min_confidence)
        return VqaResults(name, picture, picture.shape[:2], answers, footprint(name))

    def _keep(self, result: VqaResults) -> None:
        name = self.files.name(result)
        if not result.tiles:
            source = result.path if Path(result.path).is_file() else result.orig_img
            result.answers = self._checked(name, source, result.answers)
        self.files.add(name, result)
        if self.args.save and self.save_attention and not result.tiles:
            self.files.write_attention(self.make_folder(), name, result)

    def _answering(self, temperature: float) -> Answering:
        """The network as a function, from weights or an exported folder."""
        side = _side(self.args.imgsz)
        if isinstance(self.model, (str, Path)):
            parts = Parts(self.model)
            check_side(side, parts.side)
            return parts.answering(temperature)
        return answering_of(self.model, side, self.device, temperature)

    def _checked(self, name: str, source: Any, answers: list[Answer]) -> list[Answer]:
        """Answers with what a detector says to them, where there is one."""
        return answers if self.check is None else self.check(name, source, answers, self._folder())

    def _folder(self) -> Path | None:
        """Folder of the run, where there is something to be written."""
        return self.make_folder() if self.args.save else None

    def _read(self, name: str, picture: Any) -> np.ndarray | None:
        """A picture (H, W, 3) uint8 in BGR; None where it was left out."""
        try:
            with within_memory(name):
                return self.reader(name) if picture is None else self.reader.array(picture, name)
        except DataError as e:
            self.skipped.append(str(e).rstrip("."))
            return None

    def _sources(self, source: Any) -> list[tuple[str, Any]]:
        """Names of the pictures, and those that are in memory.

        Raises:
            DataError: There are none.
        """
        several = list(source) if isinstance(source, (list, tuple)) else [source]
        if not several or source is None:
            raise DataError("predict needs source=; pass an image, a folder, a glob or a list of them.")
        if not all(isinstance(s, (str, Path)) for s in several):
            return [(f"array{i}.png", s) for i, s in enumerate(several)]
        groups = [files_of(s) for s in several]
        if None in groups:
            wrong = str(several[groups.index(None)])
            raise DataError(f"source {wrong!r} is no image file; images end in {', '.join(SUFFIXES)}.")
        files = together(several, groups)
        good = [p for p in files if p.suffix.lower() in SUFFIXES and not name_problem(p)]
        for p in files:
            if p not in good:
                self.skipped.append(f"{p} {name_problem(p) or 'is no image'}")
        if not good:
            raise DataError(f"source {str(source)!r} holds no images; they must end in {', '.join(SUFFIXES)}.")
        self.sources = good
        return [(str(p), None) for p in good]


def _side(imgsz: Any) -> int:
    """Side of the square that pictures become."""
    return int(imgsz if isinstance(imgsz, int) else max(imgsz))
