"""The task ``vqa``: questions about pictures, answered from the answers of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rsdet.errors import ConfigError
from rsdet.tasks.task import Scores, Task

if TYPE_CHECKING:
    from rsdet.deploy.settings import ExportSettings

_LOOKING = frozenset({"imgsz"})
STOCK_KEYS = {
    "predict": _LOOKING | {"source", "save"},
    "val": _LOOKING | {"data", "split", "plots", "batch", "workers"},
    "export": frozenset(),
}
# Keys of Ultralytics of which nothing comes in a training of answers.
NOT_HERE = frozenset({
    "agnostic_nms", "angle", "augment", "augmentations", "auto_augment", "bgr", "box", "classes", "close_mosaic",
    "cls", "cls_pw", "compile", "conf", "copy_paste", "copy_paste_mode", "cutmix", "degrees", "dfl", "distill_model",
    "dropout", "embed", "end2end", "enhance", "erasing", "freeze_enhancer", "hsv_h", "hsv_s", "hsv_v",
    "ignore_regions", "iou", "iou_loss", "kobj", "line_width", "mask_ratio", "max_det", "mixup", "mosaic",
    "multi_scale", "nms", "overlap_mask", "perspective", "pose", "protocol", "rect", "retina_masks", "save_conf",
    "save_crop", "save_json", "save_txt", "scale", "shear", "show_boxes", "show_conf", "show_labels", "single_cls",
    "speckle", "tracker", "translate", "visualize",
})  # fmt: skip
# The recipe of the paper, where it says something; a step of the optimizer after each batch.
USUAL: dict[str, Any] = {
    "optimizer": "Adam", "lr0": 5e-5, "batch": 16, "weight_decay": 0.0, "momentum": 0.9, "warmup_epochs": 1.0,
    "warmup_bias_lr": 0.0, "close_mosaic": 0, "mosaic": 0.0, "patience": 0, "fliplr": 0.5, "flipud": 0.5, "amp": False,
}  # fmt: skip


class Vqa(Task):
    """Answers to questions about pictures by one network with a vocabulary."""

    name = "vqa"
    about = "questions about pictures, answered: presence, counts, comparisons, areas"
    families = ("vqa",)
    imgsz = 512
    modes: ClassVar = {"questions": "rsdet.tasks.vqa.questions:questions"}

    def classes(self, family: str) -> dict[str, Any]:
        """Model, trainer, validator and predictor."""
        from rsdet.tasks.vqa.model import VqaModel
        from rsdet.tasks.vqa.predict import VqaPredict
        from rsdet.tasks.vqa.train import VqaTrain
        from rsdet.tasks.vqa.val import VqaVal

        return {"model": VqaModel, "trainer": VqaTrain, "validator": VqaVal, "predictor": VqaPredict}

    def check_yaml(self, d: dict[str, Any], name: str) -> dict[str, Any]:
        """Check what the YAML of a network says of itself.

        Raises:
            ConfigError: The name of the network is missing.
        """
        if not isinstance(d.get("network"), str):
            raise ConfigError(f"{name}: network: must be a name, received {d.get('network')!r}; mend the file.")
        return d

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

    def build(self, d: dict[str, Any], verbose: bool = False) -> Any:
        """Build the network of a resolved model YAML."""
        return self.classes(self.families[0])["model"](d, verbose=verbose)

    def refuses(self, key: str, mode: str) -> str | None:
        """What Ultralytics would do in a way that only fits detectors."""
        if key in ("compile", "distill_model") and mode == "train":
            return "is not offered for networks that answer questions; leave it out"
        if key in ("half", "quantize"):
            return "is not offered for networks that answer questions, which run in float32; leave it out"
        return None

    def stock_keys(self, mode: str) -> frozenset[str] | None:
        """Keys of Ultralytics of which something comes."""
        from rsdet.arguments import training_keys

        return training_keys() - NOT_HERE if mode == "train" else STOCK_KEYS.get(mode)

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
        """Refuse: such a network is two graphs, an encoder of pictures and a head of answers.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("export is not yet offered for task=vqa, whose network is two graphs; use the .pt weights.")

    def sample(self, model: Any, size: tuple[int, int], images: Sequence[Any] | None) -> list[Any]:
        """Noise (3, H, W) in [0, 1]: what is seen does not matter to the time that it takes."""
        import numpy as np

        return list(np.random.default_rng(0).random((2, 3, *size), np.float32))

    def score(self, model: Any, data: str | Path, **settings: Any) -> Scores:
        """Accuracy over all questions first."""
        metrics = model.val(data=data, **{"plots": False, **settings})
        return Scores(metrics.measures, metrics.images)


TASK = Vqa()
