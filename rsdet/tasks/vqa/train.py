"""Training of networks that answer questions by Ultralytics' trainer; accuracy over all questions chooses the best."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from ultralytics.cfg import DEFAULT_CFG
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from rsdet.arguments import check_number, check_whole
from rsdet.data.questions.datasets import QuestionData, read_question_data
from rsdet.data.questions.word_vectors import read_word_vectors
from rsdet.data.turns import Turns
from rsdet.errors import ConfigError
from rsdet.modelyaml import buildable, load_model_yaml
from rsdet.tasks.loaders import loader_of, pictures_to_device, shuffled_loader
from rsdet.tasks.network_training import NetworkTrainer, data_dict
from rsdet.tasks.vqa.baselines import spread
from rsdet.tasks.vqa.data import described, directed, reader_for
from rsdet.tasks.vqa.dataset import AskedPictures, collate
from rsdet.tasks.vqa.model import NAMES, VqaModel
from rsdet.tasks.vqa.transfer import FIRST_WORD, transfer_words
from rsdet.tasks.vqa.val import VqaVal
from rsdet.tasks.vqa.visual import draw_batch

PER_IMAGE = 4
BLIND = ("image", "question")
_POSITIONS = ("fliplr", "flipud", "rot90")


class VqaTrain(NetworkTrainer):
    """Trainer of networks that answer questions; ``batch`` counts questions.

    Args:
        cfg: Ultralytics' defaults.
        overrides: Its arguments.
        _callbacks: Its callbacks.
        grouped: Ask several questions of each picture, which is read and encoded once for all of them; False draws
            every question by itself, with its picture.
        questions_per_image: Questions of a picture in an epoch, 0 for all that there are. An epoch shows each picture
            once, and what was not asked follows in the next ones.
        rot90: Probability of a turn by 90, 180 or 270 degrees.
        poly: Power by which the learning rate falls over the training, ``(1 - t)^poly``; 0 for ``lrf`` and ``cos_lr``.
        word_vectors: File of vectors that words start from (GloVe's text, fastText's ``.vec``), where the network does
            not bring words of its own; they are learnt further.
        blind: ``image`` or ``question``: hide it from the network, to see how far the other alone leads.

    Attributes:
        asked: The data set.
    """

    bad_step_remedy: ClassVar[str] = "lower lr0, set amp=False, or look for broken questions"
    validator_class = VqaVal
    counted = "Questions"

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: Any = None,
        *,
        grouped: bool = True,
        questions_per_image: int = PER_IMAGE,
        rot90: float = 0.5,
        poly: float = 0.9,
        word_vectors: str | None = None,
        blind: str | None = None,
    ):
        super().__init__(
            cfg, overrides, _callbacks, grouped=grouped, questions_per_image=questions_per_image, rot90=rot90,
            poly=poly, word_vectors=word_vectors, blind=blind,
        )  # fmt: skip

    @classmethod
    def check_settings(cls, given: Mapping[str, Any]) -> None:
        """Check the values of our training arguments; see :meth:`SafeTrainer.check_settings`."""
        check_whole(
            "questions_per_image", given.get("questions_per_image", PER_IMAGE), 0, "a whole number, 0 for all; e.g. 4"
        )
        if given.get("word_vectors") is not None and not Path(str(given["word_vectors"])).is_file():
            raise ConfigError(
                f"word_vectors={given['word_vectors']!r} is no file; pass GloVe's .txt or fastText's .vec."
            )
        if given.get("blind") not in (None, *BLIND):
            raise ConfigError(f"blind={given['blind']!r} must be image or question; leave it out to hide nothing.")
        check_number("rot90", given.get("rot90", 0.0), 0, 1, "a probability from 0 to 1; e.g. rot90=0.5")
        check_number("poly", given.get("poly", 0.0), 0, 10, "a power from 0 to 10; e.g. poly=0.9")
        check_whole("batch", given.get("batch", 1), 1, "a whole number of questions, 1 or more; e.g. 16")
        if given.get("cache") not in (None, False, True, "ram"):
            raise ConfigError(f"cache={given['cache']!r} must be ram, or left out; it keeps resized pictures.")
        check_number("fraction", given.get("fraction", 1.0), 1e-9, 1, "a part of the pictures; e.g. fraction=0.1")

    # -- before it starts -----------------------------------------------------------------------------------------

    def get_dataset(self) -> dict[str, Any]:
        """Read the questions; what they are about is looked for, all of it, before anything else."""
        self.asked: QuestionData = read_question_data(self.args.data)
        for split in ("train", self.args.split):
            self.asked.split(split)
        return data_dict(self.args.data, NAMES, 3)

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> VqaModel:
        """Build the network for the words and answers of the training, and take over what the weights know of them."""
        cfg = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        if not self.resume:
            cfg = {**cfg, **described(self.asked), "blind": self._ours("blind")}
        with buildable(self.args.model):
            model = VqaModel(cfg, verbose=verbose and RANK == -1)
            model.init_criterion()  # refuses a wrong loss before anything is done
        told = [transfer_words(model, weights)] if weights is not None else self._start(model)
        for line in told if RANK in {-1, 0} else ():
            LOGGER.info(line)
        return model

    def _start(self, model: VqaModel) -> list[str]:
        """Load what a fresh network starts from; says what it was."""
        told = [f"pretrained weights: {what}" for what in [model.load_pretrained()] if what]
        if (file := self._ours("word_vectors")) is not None:
            words = model.vocabulary.words
            vectors = read_word_vectors(file, words)
            model.network.load_words({words.index(word) + FIRST_WORD: v for word, v in vectors.items()})
            told.append(f"word vectors: {len(vectors)} of {len(words)} words are in {file}")
        return told

    def learning_rate(self) -> Callable[[int], float] | None:
        """Falls to 0 by the power ``poly``."""
        power = float(self._ours("poly"))
        return (lambda epoch: max(1 - epoch / self.epochs, 0) ** power) if power else None

    # -- data -----------------------------------------------------------------------------------------------------

    def turns(self) -> Turns | None:
        """What is done to pictures; nothing where questions or answers are about directions."""
        wanted = {key: float(vars(self.args)[key]) for key in _POSITIONS}
        if any(wanted.values()) and (why := directed(self.asked)):
            if RANK in {-1, 0}:
                LOGGER.info(f"{', '.join(_POSITIONS)}: off, for answers are about directions, {why}")
            return None
        return Turns(**wanted)

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Pictures with questions to train on; all questions of each picture to validate on."""
        model, training = unwrap_model(self.model), mode == "train"
        grouped, per_image = bool(self._ours("grouped")), int(self._ours("questions_per_image"))
        split = self.asked.split("train" if training else self.args.split)
        questions = split.questions
        if training and self.args.fraction < 1:
            n = len({q.image for q in questions})
            questions = spread(questions, max(1, round(n * self.args.fraction)))
        dataset = AskedPictures(
            questions, split.images, model.vocabulary,
            side=self.args.imgsz, length=model.length, reader=reader_for(self.asked), seed=self.args.seed,
            cache=self.args.cache in (True, "ram"), grouped=grouped or not training,
            per_image=per_image if training else 0, turns=self.turns() if training else None,
        )  # fmt: skip
        if not training:
            return loader_of(dataset, max(1, batch_size // PER_IMAGE), workers=self.args.workers, collate=collate)
        pictures = max(1, batch_size // (per_image or dataset.mean_questions())) if grouped else batch_size
        return shuffled_loader(
            dataset, pictures, workers=self.args.workers, seed=self.args.seed, rank=rank, world=self.world_size,
            collate=collate,
        )  # fmt: skip

    # -- while it runs --------------------------------------------------------------------------------------------

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device."""
        return pictures_to_device(batch, self.device)

    def plot_training_samples(self, batch: dict[str, Any], ni: int) -> None:
        """Draw pictures as the network gets them, with what is asked."""
        self.on_plot(draw_batch(batch, self.train_loader.dataset.questions, self.save_dir / f"train_batch{ni}.jpg"))
