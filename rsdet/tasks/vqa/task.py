"""The task ``vqa``: questions about pictures, answered from the answers of a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rsdet.errors import ConfigError, RSDetError
from rsdet.tasks.network_task import OF_DETECTORS, NetworkTask
from rsdet.tasks.task import Scores

if TYPE_CHECKING:
    from rsdet.deploy.parts import Part
    from rsdet.deploy.runners import Runner, TorchRunner
    from rsdet.deploy.settings import ExportSettings
    from rsdet.deploy.verify import Run
    from rsdet.tasks.task import Report

QUESTIONS = 30  # that a benchmark asks of each picture
_LOOKING = frozenset({"imgsz"})
STOCK_KEYS = {
    "predict": _LOOKING | {"source", "save"},
    "val": _LOOKING | {"data", "split", "plots", "batch", "workers"},
    "export": frozenset(),
}
# The recipe of the paper, where it says something; a step of the optimizer after each batch.
USUAL: dict[str, Any] = {
    "optimizer": "Adam", "lr0": 5e-5, "batch": 16, "weight_decay": 0.0, "momentum": 0.9, "warmup_epochs": 1.0,
    "warmup_bias_lr": 0.0, "close_mosaic": 0, "mosaic": 0.0, "patience": 0, "fliplr": 0.5, "flipud": 0.5, "amp": False,
}  # fmt: skip


class Vqa(NetworkTask):
    """Answers to questions about pictures by one network with a vocabulary."""

    name = "vqa"
    about = "questions about pictures, answered: presence, counts, comparisons, areas"
    families = ("vqa",)
    imgsz = 512
    used_keys = STOCK_KEYS
    unused_keys = OF_DETECTORS
    light = "rsdet.tasks.vqa.runtime"
    end_to_end = f"image files, and {QUESTIONS} questions about each, to answers"
    modes: ClassVar = {"questions": "rsdet.tasks.vqa.questions:questions"}

    def classes(self, family: str) -> dict[str, Any]:
        """Model, trainer, validator and predictor."""
        from rsdet.tasks.vqa.model import VqaModel
        from rsdet.tasks.vqa.predict import VqaPredict
        from rsdet.tasks.vqa.train import VqaTrain
        from rsdet.tasks.vqa.val import VqaVal

        return {"model": VqaModel, "trainer": VqaTrain, "validator": VqaVal, "predictor": VqaPredict}

    def check_model(self, module: Any, family: str, name: str) -> None:
        """Refuse a network whose vocabulary is another one's.

        Raises:
            ConfigError: It has other numbers of words or answers than the network, or is none.
        """
        known, network = module.vocabulary, module.network
        if known is not None and (known.size - 1, len(known.answers)) != (network.tokens, network.answers):
            raise ConfigError(
                f"{name}: its vocabulary has {len(known.words)} words and {len(known.answers)} answers, its network "
                f"{network.tokens - 1} and {network.answers}; the vocabulary is of other weights, so take those."
            )

    def refuses(self, key: str, mode: str) -> str | None:
        """What Ultralytics would do in a way that only fits detectors."""
        if key in ("compile", "distill_model") and mode == "train":
            return "is not offered for networks that answer questions; leave it out"
        if key in ("half", "quantize"):
            return "is not offered for networks that answer questions, which run in float32; leave it out"
        return None

    def usual(self, mode: str, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """The paper's recipe; the input has the size of the training."""
        if mode == "train":
            return {**USUAL, "imgsz": self.imgsz, "nbs": int(given.get("batch") or USUAL["batch"])}
        trained = model.overrides.get("imgsz")
        return {"imgsz": trained or self.imgsz, **({"save": False} if mode == "predict" else {})}

    def outcome(self, images: int, items: int) -> str:
        """Say how many questions were answered."""
        return f"{items} answer{'s' * (items != 1)} about {images} picture{'s' * (images != 1)}"

    # -- deployment -----------------------------------------------------------------------------------------------

    def check_export(self, settings: ExportSettings) -> None:
        """Refuse what is about one graph: such a network is two, an encoder of pictures and a head of answers.

        Raises:
            ConfigError: It is.
        """
        from rsdet.deploy.parts import check_settings

        check_settings(settings)

    def parts(self, module: Any, settings: ExportSettings) -> Mapping[str, Part]:
        """The image encoder and the answer head."""
        from rsdet.tasks.vqa.parts import parts_of

        return parts_of(module, settings.size[0])

    def open_parts(self, folder: Path, threads: int | None = None) -> Runner:
        """Both, asked the questions of a proof."""
        from rsdet.tasks.vqa.parts import PartsRunner

        return PartsRunner(folder, threads)

    def reference(self, module: Any, settings: ExportSettings) -> Any:
        """A copy of the network that is asked the questions of a proof."""
        from rsdet.tasks.vqa.parts import Proof

        return Proof(super().reference(module, settings))

    def compare(self, reference: TorchRunner, runs: Sequence[Run], settings: ExportSettings) -> Report:
        """Compare answers, types and probabilities; features may differ, for there is a threshold in the encoder."""
        from rsdet.tasks.vqa.parity import compare_answers

        return compare_answers(runs, settings.half)

    def describe(self, module: Any, settings: ExportSettings | None = None) -> dict[str, Any]:
        """Vocabulary, length of a question, and how pictures are read."""
        from rsdet.tasks.vqa.parts import described

        return dict(described(module))

    def preprocess_rule(self, module: Any) -> str:
        """Of the part that sees pictures."""
        return str(self.describe(module)["input"])

    def sample(self, model: Any, size: tuple[int, int], images: Sequence[Any] | None) -> list[Any]:
        """Pictures (H, W, 3) uint8 in BGR: the user's, else of the validation questions of its data, else rendered."""
        from rsdet.deploy.verify import N_IMAGES, parity_images, rendered

        trained = (model.ckpt or {}).get("train_args") or getattr(model.model, "args", None) or {}
        data = trained.get("data")
        if not images and data and Path(str(data)).is_file():
            with suppress(RSDetError):  # data that have gone since
                images = self.pictures(data, {}, Path(), N_IMAGES)
        return parity_images(model, images) if images else rendered(N_IMAGES, 3)

    def score(self, model: Any, data: str | Path, **settings: Any) -> Scores:
        """Accuracy over all questions first."""
        metrics = model.val(data=data, **{"plots": False, **settings})
        return Scores(metrics.measures, metrics.images)

    # -- benchmark ------------------------------------------------------------------------------------------------

    def preprocess(self, inputs: Sequence[Any], spec: Mapping[str, Any], size: tuple[int, int]) -> Any:
        """Pictures resized to squares, (B, 3, S, S) in RGB."""
        import numpy as np

        from rsdet.tasks.vqa.answering import squared

        stacked = np.stack([squared(x, size[0]) for x in inputs]).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(stacked, np.float32) / 255

    def read(self, file: Path, spec: Mapping[str, Any]) -> Any:
        """A picture (H, W, 3) uint8 in BGR."""
        from rsdet.data.pictures import reader_of

        return reader_of(None, 3, spec.get("bands"))(file)

    def pipeline(
        self, run: Runner, spec: Mapping[str, Any], size: tuple[int, int], chain: Any = None
    ) -> Callable[[Sequence[Path]], Any]:
        """Decode, encode once, and ask so many questions."""
        from rsdet.tasks.vqa.parts import asking

        return asking(run, QUESTIONS, size[0], lambda file: self.read(file, spec))

    def pictures(self, data: str | Path, spec: Mapping[str, Any], folder: Path, most: int) -> list[Path]:
        """Pictures of the validation questions, spread over them."""
        from rsdet.data.questions.datasets import read_question_data

        files = list(read_question_data(self.resolve_data(data)).split("val").images.values())
        return files[:: -(-len(files) // most) or 1]


TASK = Vqa()
