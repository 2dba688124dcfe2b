"""The task ``landcover``: a class for every pixel of a hyperspectral cube, with LiDAR where there is some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rsdet.errors import ConfigError
from rsdet.tasks.network_task import OF_DETECTORS, NetworkTask
from rsdet.tasks.task import Scores

if TYPE_CHECKING:
    from rsdet.deploy.settings import ExportSettings

STOCK_KEYS = {
    "predict": frozenset({"source", "save"}),
    "val": frozenset({"data", "split", "plots"}),
    "export": frozenset(),
}
# The recipe of CAB-HL; a step of the optimizer after each batch.
USUAL: dict[str, Any] = {
    "optimizer": "Adam", "lr0": 1e-4, "lrf": 1.0, "epochs": 150, "batch": 64, "weight_decay": 0.0, "momentum": 0.9,
    "warmup_epochs": 0.0, "warmup_bias_lr": 0.0, "close_mosaic": 0, "patience": 0, "fliplr": 0.0, "flipud": 0.0,
    "amp": False, "workers": 0,
}  # fmt: skip


class LandCover(NetworkTask):
    """Land cover by networks that see a patch of a cube around each pixel."""

    name = "landcover"
    about = "land cover of hyperspectral cubes, with LiDAR: a class for every pixel"
    families = ("landcover",)
    imgsz = 8
    light = "rsdet.tasks.landcover.runtime.cli"
    used_keys = STOCK_KEYS
    unused_keys = OF_DETECTORS | {"cache", "fraction", "imgsz"}
    modes: ClassVar = {"crossval": "rsdet.tasks.landcover.crossval:crossval"}

    def classes(self, family: str) -> dict[str, Any]:
        """Model, trainer, validator and predictor."""
        from rsdet.tasks.landcover.model import LandCoverModel
        from rsdet.tasks.landcover.predict import LandCoverPredict
        from rsdet.tasks.landcover.train import LandCoverTrain
        from rsdet.tasks.landcover.val import LandCoverVal

        both = {"validator": LandCoverVal, "predictor": LandCoverPredict}
        return {"model": LandCoverModel, "trainer": LandCoverTrain, **both}

    def refuses(self, key: str, mode: str) -> str | None:
        """What Ultralytics would do in a way that only fits pictures."""
        if key == "imgsz":
            return "is for pictures; networks for land cover have patch= of the model YAML, leave it out"
        if key in ("compile", "distill_model") and mode == "train":
            return "is not offered for networks for land cover; leave it out"
        if key in ("half", "quantize"):
            return "is not offered for networks for land cover, which take raw bands in float32; leave it out"
        return None

    def usual(self, mode: str, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """The paper's recipe; by itself, a validation is of the test pixels."""
        if mode == "train":
            return {**USUAL, "nbs": int(given.get("batch") or USUAL["batch"])}
        return {"split": "test"} if mode == "val" else {"save": False}

    def outcome(self, images: int, items: int) -> str:
        """Say how many cubes were mapped."""
        return f"{images} cube{'s' * (images != 1)} mapped"

    # -- deployment -----------------------------------------------------------------------------------------------

    def check_export(self, settings: ExportSettings) -> None:
        """Refuse half precision, for raw bands go beyond it, and patches of free size.

        Raises:
            ConfigError: They are asked for.
        """
        if settings.half or settings.int8:
            raise ConfigError(
                "half= and int8= are not offered for networks for land cover, whose graphs take raw bands; leave them "
                "out."
            )
        if settings.dynamic is True:
            raise ConfigError("dynamic=True with task=landcover, whose patches have one size; use dynamic=batch.")

    def input_size(self, model: Any, imgsz: int | Sequence[int] | None) -> tuple[int, int]:
        """Sides of a patch, which the model fixes.

        Raises:
            ConfigError: Another size.
        """
        patch = int(model.model.network.patch)
        each = set(imgsz) if isinstance(imgsz, Sequence) else {imgsz}
        if not each <= {None, patch, self.imgsz}:
            raise ConfigError(f"imgsz={imgsz}: the model takes patches of {patch} px; leave imgsz= out.")
        return patch, patch

    def describe(self, module: Any, settings: ExportSettings | None = None) -> dict[str, Any]:
        """Bands, rasters and patch, and what the training knew of its scene."""
        from rsdet.tasks.landcover.model import described

        return described(module)

    def preprocess_rule(self, module: Any) -> str:
        """Patches of raw numbers."""
        return (
            "the patch around a pixel (at patch // 2), mirrored at the border, bands and then rasters, numbers as in "
            "the files (no data: fill), CHW float"
        )

    def sample(self, model: Any, size: tuple[int, int], images: Sequence[Any] | None) -> list[Any]:
        """Patches (C, p, p) of raw numbers: of the test pixels of the training's data, else drawn around its means."""
        from rsdet.tasks.landcover.samples import samples_of

        return samples_of(model, images)

    def ground(
        self, spec: Mapping[str, Any], size: tuple[int, int], data: str | Path | None, pictures: Sequence[Path]
    ) -> tuple[int, float | None]:
        """A patch is for the one pixel in its middle; metres are those of the scene of the training."""
        return 1, spec.get("gsd")

    def score(self, model: Any, data: str | Path, **settings: Any) -> Scores:
        """Overall and average accuracy and kappa of the test pixels."""
        metrics = model.val(data=data, **{"plots": False, "baselines": "none", **settings})
        return Scores(metrics.measures, metrics.images)


TASK = LandCover()
