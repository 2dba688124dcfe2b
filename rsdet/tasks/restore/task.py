"""The task ``restore``: pictures in, better pictures out (dehazing, super-resolution, cloud removal)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rsdet.errors import ConfigError
from rsdet.tasks.network_task import OF_DETECTORS, NetworkTask
from rsdet.tasks.restore.options import RestoreExport
from rsdet.tasks.task import Scores

if TYPE_CHECKING:
    from rsdet.deploy.runners import Runner, TorchRunner
    from rsdet.deploy.settings import ExportSettings
    from rsdet.deploy.verify import Run
    from rsdet.tasks.task import Report


# Keys that mean nothing to a model that restores pictures; accepted in silence, they would mislead.
MISLEADING = OF_DETECTORS - {"angle", "compile", "distill_model", "mask_ratio"} | {
    "fliplr", "flipud", "imgsz", "rot90", "save_coco", "save_enhanced",
}  # fmt: skip
STOCK_KEYS = {
    "predict": frozenset({"source", "save"}), "val": frozenset({"data", "split", "plots"}), "export": frozenset(),
}  # fmt: skip
KINDS = ("dehaze", "superres", "clouds")  # what a model of this task is for
# What is asked for where neither the user nor the recipe says otherwise: Ultralytics' own values are for detectors.
USUAL: dict[str, Any] = {
    "optimizer": "AdamW", "lr0": 3e-4, "lrf": 0.01, "cos_lr": True, "weight_decay": 0.0, "momentum": 0.9,
    "warmup_epochs": 1.0, "warmup_bias_lr": 0.0, "close_mosaic": 0, "batch": 8, "cache": "ram", "patience": 0,
    "amp": False,  # bfloat16 has 8 bits of fraction: outputs differ by more than what papers gain over each other
}  # fmt: skip


class Restore(NetworkTask):
    """Pictures to pictures: networks, methods without weights, and methods that optimise on each picture."""

    name = "restore"
    about = "better pictures: dehazing, super-resolution, cloud removal"
    families = ("restore", "classical", "per-image")
    methods = ("classical", "per-image")
    used_keys = STOCK_KEYS
    variables = ("upscale",)
    imgsz = 256
    light = "rsdet.tasks.restore.runtime.cli"
    stac_task = "generative"
    end_to_end = "image files to restored pictures, in tiles"
    unchecked: ClassVar = {"min_psnr_db": float("-inf"), "max_diff": float("inf")}
    export_options = RestoreExport
    loss_unit = ("dB", 1.0)

    def classes(self, family: str) -> dict[str, Any]:
        """Model, trainer, validator and predictor of a family."""
        from rsdet.tasks.restore.predict import RestorePredict
        from rsdet.tasks.restore.val import RestoreVal

        both = {"validator": RestoreVal, "predictor": RestorePredict}
        if family != "restore":
            from rsdet.tasks.restore.methods import RestoreMethod

            return {"model": RestoreMethod, **both}
        from rsdet.tasks.restore.model import RestoreModel
        from rsdet.tasks.restore.train import RestoreTrain

        return {"model": RestoreModel, "trainer": RestoreTrain, **both}

    def check_yaml(self, d: dict[str, Any], name: str) -> dict[str, Any]:
        """Check what the YAML says of itself: a network or a method, and what it is for.

        Raises:
            ConfigError: A part is missing.
        """
        super().check_yaml(d, name)
        if d.get("kind") not in KINDS:
            raise ConfigError(f"{name}: kind: must be one of {list(KINDS)}, received {d.get('kind')!r}; mend the file.")
        if d["family"] not in self.methods:
            d["channels"] = int((d.get("args") or {}).get("channels", 3))
        return d

    def set_variables(self, model: Any, values: Mapping[str, Any], name: str) -> None:
        """Compare the enlargement of weights with that which is asked for; to say it again is no mistake.

        Raises:
            ConfigError: It is another one.
        """
        super().set_variables(model, values, name)
        scale, fixed = values.get("upscale"), getattr(model, "scale", 1)
        if scale is not None and scale != fixed:
            raise ConfigError(f"scale={scale}: {name} enlarges by {fixed}; leave it out, or train another model.")

    def refuses(self, key: str, mode: str) -> str | None:
        """Keys of detectors would mislead."""
        if key not in MISLEADING:
            return None
        remedy = "leave it out" if key != "imgsz" else f"use {'patch' if mode == 'train' else 'tile'}="
        return f"is for detectors, and this model restores pictures; {remedy}"

    def settings(self, mode: str, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments as they are, once there is something to train.

        Raises:
            ConfigError: A training of a network without weights.
        """
        if mode == "train" and not any(True for _ in model.model.parameters()):
            raise ConfigError(
                f"{model.yaml.get('network')} has no weights, so there is nothing to train; use val, predict or "
                "another model."
            )
        return dict(given)

    def usual(self, mode: str, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """What suits pictures; a step of the optimizer after each batch, where Ultralytics' 64 is for detectors."""
        if mode == "train":
            return {**USUAL, "nbs": int(given.get("batch") or USUAL["batch"])}
        return {"save": False} if mode == "predict" else {}

    def outcome(self, images: int, items: int) -> str:
        """Say how many pictures were restored."""
        return f"{images} picture{'s' * (images != 1)} restored"

    # -- deployment -----------------------------------------------------------------------------------------------

    def check_export(self, settings: ExportSettings) -> None:
        """Refuse graphs of free size: pictures run in tiles."""
        if settings.dynamic:
            raise ConfigError(
                f"dynamic={settings.dynamic} with task=restore; expected a graph of one size, in tiles of which "
                "pictures of any size run; leave dynamic= out"
            )

    def input_size(self, model: Any, imgsz: int | Sequence[int] | None) -> tuple[int, int]:
        """Size of the tiles; 256 px where nobody says otherwise, whatever the patches of the training were."""
        network, each = model.model.network, list(imgsz) if isinstance(imgsz, Sequence) else [imgsz or self.imgsz]
        multiple, least = int(network.multiple), network.min_px
        for n in each:
            if not isinstance(n, int) or len(each) > 2 or n < least or n % multiple:
                near = max(least, round(n / multiple) * multiple) if isinstance(n, int) else self.imgsz
                near = math.ceil(near / multiple) * multiple
                raise ConfigError(f"imgsz={imgsz}; expected multiples of {multiple}, {least} or more; use {near}.")
        height, width = (each * 2)[:2]
        return height, width

    def compare(self, reference: TorchRunner, runs: Sequence[Run], settings: ExportSettings) -> Report:
        """Compare the pictures that both make, by PSNR and by the largest difference of a pixel."""
        from rsdet.tasks.restore.parity import compare_pictures

        expected = [picture for r in runs for picture in r.expected[0]]
        got = [picture for r in runs for picture in r.got[0]]
        return compare_pictures(expected, got, settings.options.min_psnr_db, settings.options.largest(settings.half))

    def describe(self, module: Any, settings: ExportSettings | None = None) -> dict[str, Any]:
        """What the network is for, how much it enlarges, and which sizes it takes."""
        network = module.network
        return {
            "kind": module.kind, "scale": module.scale, "network": module.yaml["network"], "local": bool(network.local),
            "multiple": int(network.multiple), "min_px": int(network.min_px),
        }  # fmt: skip

    def preprocess_rule(self, module: Any) -> str:
        """Tiles."""
        return "a tile of imgsz, RGB where it has three channels, 8 bits divided by 255, 16 by 65535, CHW float"

    def sample(self, model: Any, size: tuple[int, int], images: Sequence[Any] | None) -> list[Any]:
        """Tiles (H, W, C) float32 in [0, 1]."""
        from rsdet.tasks.restore.parity import parity_pictures

        return parity_pictures(model, size, model.model.network.channels, images)

    def score(self, model: Any, data: str | Path, **settings: Any) -> Scores:
        """PSNR in dB and SSIM by the convention of the data; an exported file works in tiles of its own size."""
        metrics = model.val(data=data, plots=False, **{k: settings[k] for k in ("device", "project") if k in settings})
        return Scores({"psnr_db": metrics.psnr, "ssim": metrics.ssim}, len(metrics.rows))

    # -- benchmark ------------------------------------------------------------------------------------------------

    def preprocess(self, inputs: Sequence[Any], spec: Mapping[str, Any], size: tuple[int, int]) -> Any:
        """Channels first."""
        return super().preprocess([x.transpose(2, 0, 1) for x in inputs], spec, size)

    def read(self, file: Path, spec: Mapping[str, Any]) -> Any:
        """A picture (H, W, C) float32 in [0, 1]."""
        from rsdet.data.raster_io import read_image

        return read_image(file, channels=spec["channels"])[0]

    def pipeline(
        self, run: Runner, spec: Mapping[str, Any], size: tuple[int, int], chain: Any = None
    ) -> Callable[[Sequence[Path]], Any]:
        """Decode, and restore in tiles of the input's size."""
        from rsdet.tasks.restore.running import in_tiles

        return lambda files: [in_tiles(run, self.read(f, spec), size, spec["scale"], len(files)) for f in files]

    def pictures(self, data: str | Path, spec: Mapping[str, Any], folder: Path, most: int) -> list[Path]:
        """Inputs of the validation split; those that the set makes on the fly are written first."""
        from rsdet.tasks.restore.data import input_files

        return input_files(data, spec["scale"], folder, most)

    def draw(self, model: Any, file: Path, spec: Mapping[str, Any], size: tuple[int, int]) -> Any:
        """Input and output side by side."""
        from rsdet.tasks.restore.visual import to_rgb8

        if spec.get("untrained"):
            return to_rgb8(self.read(file, spec))[..., ::-1]
        return model.predict(file, save=False, verbose=False)[0].plot()


TASK = Restore()
