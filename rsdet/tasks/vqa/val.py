"""Validation of networks that answer questions: accuracy over all of them first, never without the baselines.

During a training the same numbers are counted without baselines: they choose a checkpoint.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from ultralytics.engine.validator import BaseValidator
from ultralytics.nn.tasks import load_checkpoint
from ultralytics.utils import LOGGER, RANK, TQDM
from ultralytics.utils.torch_utils import select_device, unwrap_model

from rsdet import checkpoint
from rsdet.data.questions.datasets import QuestionData, Split, read_question_data
from rsdet.errors import ConfigError, DataError
from rsdet.metrics.answers import AnswerScores
from rsdet.nn.answering import Answers
from rsdet.tasks.loaders import loader_of, pictures_to_device
from rsdet.tasks.runs import ValFolder
from rsdet.tasks.vqa.baselines import baseline_answers, encodings, spread
from rsdet.tasks.vqa.data import reader_for
from rsdet.tasks.vqa.dataset import AskedPictures, collate
from rsdet.tasks.vqa.exported import check_side
from rsdet.tasks.vqa.model import VqaModel
from rsdet.tasks.vqa.parts import PartsNetwork
from rsdet.tasks.vqa.quality import VqaMetrics
from rsdet.tasks.vqa.visual import draw_batch

_AT_ONCE = 256  # questions that are answered at a time
_DRAWN = 3  # batches


class VqaVal(ValFolder, BaseValidator):
    """Validator of networks that answer questions.

    Args:
        *args: Those of Ultralytics.
        **kwargs: Those of Ultralytics.

    Attributes:
        metrics: Outcome of the last run, a :class:`~rsdet.tasks.vqa.quality.VqaMetrics`.
        asked: The data set.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.metrics = VqaMetrics(save_dir=Path(self.save_dir))
        self.asked: QuestionData | None = None

    def __call__(self, trainer: Any = None, model: Any = None, **kwargs: Any) -> Any:
        """Validate: the EMA weights of a training, or a network or its weights file by itself."""
        self.run_callbacks("on_val_start")
        self.training = trainer is not None
        if trainer is not None:
            self.device, network = trainer.device, trainer.ema.ema.float().eval()
            dataset, losses = self.dataloader.dataset, {}
            said = self._said(network, self.dataloader, losses)
            self.metrics = self._scores(network, dataset, said)
            LOGGER.info(self.metrics.line())
            self.run_callbacks("on_val_end")
            if RANK > 0:
                return None
            results = {**self.metrics.results_dict, **trainer.label_loss_items(losses, prefix="val")}
            return {k: round(float(v), 5) for k, v in results.items()}
        return self._alone(model)

    def get_desc(self) -> str:
        """Head of the progress bar."""
        return "answered"

    # -- by itself ------------------------------------------------------------------------------------------------

    def _alone(self, model: Any) -> dict[str, float]:
        """Measure everything, beside the baselines, and write it."""
        self.device = select_device(self.args.device, verbose=False)
        network = _loaded(model).to(self.device).float().eval()
        if isinstance(network, PartsNetwork):
            check_side(_side(self.args.imgsz), network.side)
        if network.vocabulary is None:
            raise ConfigError(
                "the model has no vocabulary, so that it knows neither words nor answers; train it first."
            )
        split = self.args.split
        self.asked = read_question_data(self.args.data)
        dataset = self.dataset_of(network, self.asked.split(split))
        if not any(q.answer for q in dataset.questions):
            raise DataError(
                f"{self.asked.name}: the answers of {split} are withheld, so there is nothing to measure by; use "
                "predict with questions=, or another split=."
            )
        began = time.perf_counter()
        said = self._said(network, self.loader(dataset))
        ms = (time.perf_counter() - began) * 1e3 / max(1, len(dataset))
        self.speed = {"inference": ms}
        self.metrics = self._scores(network, dataset, said)
        self.metrics.images = len(dataset)
        self.metrics.add_calibration(said.logits, dataset.answers)
        self.metrics.add_baselines(self._baselines(network, dataset))
        self.metrics.data = f"{self.asked.name}, {split}"
        for line in self.metrics.lines():
            LOGGER.info(line)
        LOGGER.info(f"{ms:.1f} ms a picture of {len(dataset.questions) / len(dataset):.1f} questions on {self.device}")
        self.metrics.write(bool(self.args.plots))
        self.run_callbacks("on_val_end")
        return self.metrics.results_dict

    def dataset_of(self, network: VqaModel, split: Split) -> AskedPictures:
        """Questions by their pictures, as they are in the files."""
        return AskedPictures(
            split.questions, split.images, network.vocabulary, side=_side(self.args.imgsz),
            length=network.length, reader=reader_for(self.asked),
        )  # fmt: skip

    def loader(self, dataset: AskedPictures) -> Any:
        """Batches of pictures in the order of the files."""
        workers = 0 if self.device.type in ("cpu", "mps") else self.args.workers
        return loader_of(dataset, max(1, self.args.batch // 4), workers=workers, collate=collate)

    def _baselines(self, network: VqaModel, dataset: AskedPictures) -> dict[str, list[str]]:
        """Answers of what sees less; nothing where there is no training to fit it on."""
        if "train" not in self.asked.splits:
            LOGGER.warning(f"{self.asked.name} names no train:, so that no baseline can stand beside these numbers")
            return {}
        train = self.asked.split("train")
        shown = self.dataset_of(network, Split(spread(train.questions), train.images))
        seen, asked = (dict(encodings(network, self.loader(d), self.device)) for d in (shown, dataset))
        return baseline_answers(train.questions, dataset.questions, seen, asked)

    # -- in both --------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def _said(self, network: VqaModel, loader: Any, losses: dict[str, Any] | None = None) -> Answers:
        """What the network says to all questions of a loader, in the order of its data set, on the CPU."""
        dataset, parts, order = loader.dataset, [], []
        for i, batch in enumerate(TQDM(loader, desc=self.get_desc(), total=len(loader))):
            self.run_callbacks("on_val_batch_start")
            batch = pictures_to_device(batch, self.device)
            cells = network.encode_image(batch["img"])
            owner = torch.arange(len(cells), device=self.device).repeat_interleave(batch["counts"])
            pieces = [
                network.answer(cells[owner[k : k + _AT_ONCE]], batch["tokens"][k : k + _AT_ONCE])
                for k in range(0, len(owner), _AT_ONCE)
            ]
            said = Answers(*(torch.cat(p) for p in zip(*pieces, strict=True)))
            if losses is not None:
                for key, value in network.loss(batch, said)[1].items():
                    losses[key] = losses.get(key, 0.0) + value.cpu() / len(loader)
            parts.append((said.logits.float().cpu(), said.types.float().cpu()))
            order.append(batch["index"].cpu())
            if self.args.plots and i < _DRAWN and RANK in {-1, 0} and not self.training:
                words = [network.vocabulary.answers[k] for k in said.logits.argmax(1).tolist()]
                draw_batch(batch, dataset.questions, Path(self.save_dir) / f"val_batch{i}.jpg", words)
            self.run_callbacks("on_val_batch_end")
        back = torch.cat(order).argsort()
        logits, types = (torch.cat(p)[back] for p in zip(*parts, strict=True))
        return Answers(logits, types, logits[:, :0])

    def _scores(self, network: VqaModel, dataset: AskedPictures, said: Answers) -> VqaMetrics:
        answers = [network.vocabulary.answers[k] for k in said.logits.argmax(1).tolist()]
        routed = (said.types[:, 0] > said.types[:, 1]).tolist() if network.routes else None
        scores = AnswerScores(dataset.questions, answers, network.vocabulary.answers, dataset.closed.tolist(), routed)
        return VqaMetrics({"model": scores}, save_dir=Path(self.save_dir))


def _side(imgsz: Any) -> int:
    return int(imgsz if isinstance(imgsz, int) else max(imgsz))


def _loaded(model: Any) -> Any:
    """A network, or exported parts in its place."""
    if isinstance(model, (str, Path)) and Path(model).is_dir():
        return PartsNetwork(model)
    if isinstance(model, (str, Path)):
        model = load_checkpoint(checkpoint.check(model))[0]
    return unwrap_model(model)
