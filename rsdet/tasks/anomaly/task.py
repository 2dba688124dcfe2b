"""The task ``anomaly``: what does not belong to the background of a hyperspectral cube."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rsdet.errors import ConfigError
from rsdet.tasks.anomaly.options import AnomalyExport
from rsdet.tasks.network_task import OF_DETECTORS, NetworkTask
from rsdet.tasks.task import Scores

if TYPE_CHECKING:
    from rsdet.deploy.runners import Runner, TorchRunner
    from rsdet.deploy.settings import ExportSettings
    from rsdet.deploy.verify import Run
    from rsdet.tasks.task import Report

STOCK_KEYS = {
    "predict": frozenset({"source", "save", "batch"}), "val": frozenset({"data", "plots"}), "export": frozenset(),
}  # fmt: skip
# Keys of Ultralytics that mean nothing here; accepted in silence, they would mislead.
OF_PICTURES = OF_DETECTORS - {"angle", "compile", "distill_model", "ignore_regions", "speckle"} | {
    "cache", "fliplr", "flipud", "imgsz", "split",
}  # fmt: skip
# What is set where neither the user nor a recipe says otherwise: AETNet's settings, for Algorithm 1.
USUAL: dict[str, Any] = {
    "optimizer": "Adam", "lr0": 1e-4, "lrf": 1.0, "momentum": 0.9, "weight_decay": 5e-6, "warmup_epochs": 0.0,
    "warmup_bias_lr": 0.0, "close_mosaic": 0, "batch": 1, "epochs": 200, "patience": 30, "workers": 0,
    "amp": False,  # losses of 1e-6 drown in the rounding of half precision
}  # fmt: skip


def _cube(data: Any) -> Path | None:
    """The file that data stand for, where it is no data YAML."""
    path = Path(data).expanduser() if isinstance(data, (str, Path)) else Path()
    return path if path.suffix.lower() not in ("", ".yaml", ".yml") and path.is_file() else None


class Anomaly(NetworkTask):
    """Anomalies in cubes, by networks that rebuild backgrounds and by methods that learn nothing."""

    name = "anomaly"
    about = "what does not belong to the background of a hyperspectral cube"
    families = ("network", "classical")
    methods = ("classical",)
    used_keys = STOCK_KEYS
    imgsz = 64
    light = "rsdet.tasks.anomaly.runtime.cli"
    stac_task = "object-detection"
    end_to_end = "cube files to score maps"
    unchecked: ClassVar = {"max_diff": float("inf")}
    export_options = AnomalyExport

    def classes(self, family: str) -> dict[str, Any]:
        """Model, trainer, validator and predictor of a family."""
        from rsdet.tasks.anomaly.model import AnomalyMethod, AnomalyModel
        from rsdet.tasks.anomaly.predict import AnomalyPredict
        from rsdet.tasks.anomaly.val import AnomalyVal

        both = {"validator": AnomalyVal, "predictor": AnomalyPredict}
        if family == "classical":
            return {"model": AnomalyMethod, **both}
        from rsdet.tasks.anomaly.train import AnomalyTrain

        return {"model": AnomalyModel, "trainer": AnomalyTrain, **both}

    def check_yaml(self, d: dict[str, Any], name: str) -> dict[str, Any]:
        """Check what the YAML says of itself: a network or a method.

        Raises:
            ConfigError: Its name is missing.
        """
        super().check_yaml(d, name)
        if d["family"] == self.families[0]:
            d["channels"] = (d.get("args") or {}).get("channels", 50)
        return d

    def resolve_data(self, data: str | Path) -> Path:
        """A cube that stands for itself, or the data YAML of a scene."""
        return _cube(data) or super().resolve_data(data)

    def stored_data(self, data: Any) -> Path | None:
        """The same of what weights name."""
        return _cube(data) or super().stored_data(data)

    def refuses(self, key: str, mode: str) -> str | None:
        """Keys of detectors and of pictures would mislead."""
        if key == "mode" and mode == "train":  # what the paper's two ways of fitting are also called
            return "says here what Ultralytics does; use fit=scene or fit=general"
        if key not in OF_PICTURES:
            return None
        remedy = "leave it out" if key != "imgsz" else f"use {'patch' if mode == 'train' else 'tile'}="
        return f"is for pictures, and this model looks at cubes; {remedy}"

    def usual(self, mode: str, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """What suits scenes; a step of the optimizer after each batch."""
        if mode == "train":
            return {**USUAL, "nbs": int(given.get("batch") or USUAL["batch"])}
        return {"save": False} if mode == "predict" else {}

    def outcome(self, images: int, items: int) -> str:
        """Say how many cubes were looked at, and what was found."""
        return f"{images} cube{'s' * (images != 1)} searched, {items} find{'s' * (items != 1)}"

    # -- deployment -----------------------------------------------------------------------------------------------

    def check_export(self, settings: ExportSettings) -> None:
        """Refuse graphs of free size: stripes are cut for one size, and scenes run in tiles."""
        if settings.dynamic:
            raise ConfigError(
                f"dynamic={settings.dynamic} with task=anomaly; expected a graph of one size, in tiles of which scenes "
                "of any size run; leave dynamic= out"
            )

    def compare(self, reference: TorchRunner, runs: Sequence[Run], settings: ExportSettings) -> Report:
        """Compare what both take away from their input."""
        from rsdet.tasks.anomaly.parity import compare_residuals

        return compare_residuals(runs, settings.options.largest(settings.half))

    def describe(self, module: Any, settings: ExportSettings | None = None) -> dict[str, Any]:
        """Which bands the network was trained on, and what its training was judged by."""
        return {"network": module.yaml["network"], "anomaly": dict(module.yaml.get("anomaly") or {})}

    def preprocess_rule(self, module: Any) -> str:
        """Tiles of a scaled cube."""
        from rsdet.tasks.anomaly.scene import SPAN

        return f"a tile of imgsz, the least value of the scene -{SPAN}, the largest {SPAN}, no data 0, CHW float"

    def sample(self, model: Any, size: tuple[int, int], images: Sequence[Any] | None) -> list[Any]:
        """Tiles (B, H, W) float32 in [-0.1, 0.1]."""
        from rsdet.tasks.anomaly.parity import parity_cubes

        places = (model.model.yaml.get("anomaly") or {}).get("bands")
        return parity_cubes(size, model.model.network.channels, images, places)

    def score(self, model: Any, data: str | Path, **settings: Any) -> Scores:
        """AUC(D,F), AUC(D,t) and 1 - AUC(F,t) of the model on a scene with a map."""
        from rsdet.data.cubes.dataset import cube_data
        from rsdet.tasks.anomaly.val import measurable

        measurable(cube_data(data, self.name))
        known = {k: settings[k] for k in ("device", "project") if k in settings}
        areas = model.val(data=data, plots=False, **known).model
        return Scores({"auc_df": areas.auc_df, "auc_dt": areas.auc_dt, "one_minus_auc_ft": 1 - areas.auc_ft}, 1)

    # -- benchmark ------------------------------------------------------------------------------------------------

    def read(self, file: Path, spec: Mapping[str, Any]) -> Any:
        """An open scene with the bands of the network."""
        from rsdet.tasks.anomaly.scene import CubeScene

        return CubeScene.open(file, (spec.get("anomaly") or {}).get("bands") or "all")

    def pipeline(
        self, run: Runner, spec: Mapping[str, Any], size: tuple[int, int], chain: Any = None
    ) -> Callable[[Sequence[Path]], Any]:
        """Read, rebuild in tiles of the input's size, score."""
        from rsdet.tasks.anomaly.scoring import Rebuilder, network_scores

        def scores(files: Sequence[Path]) -> list[Any]:
            rebuilder = Rebuilder.of_graph(run, size, len(files), spec)
            found = []
            for file in files:
                with self.read(file, spec) as scene:
                    found.append(network_scores(rebuilder, scene, (rebuilder.score_on,)))
            return found

        return scores

    def pictures(self, data: str | Path, spec: Mapping[str, Any], folder: Path, most: int) -> list[Path]:
        """The cube of the data."""
        from rsdet.data.cubes.dataset import cube_data

        return [cube_data(data, self.name).cube.path]

    def ground(
        self, spec: Mapping[str, Any], size: tuple[int, int], data: str | Path | None, pictures: Sequence[Path]
    ) -> tuple[int, float | None]:
        """All pixels of a tile, of the size that data or cube say."""
        from rsdet.data.cubes.dataset import cube_data
        from rsdet.data.cubes.opening import open_cube

        gsd = cube_data(data, self.name).gsd if data is not None else None
        if gsd is None and pictures:
            with open_cube(pictures[0]) as cube:
                gsd = cube.georef.gsd_m() if cube.georef is not None else None
        return size[0] * size[1], gsd

    def draw(self, model: Any, file: Path, spec: Mapping[str, Any], size: tuple[int, int]) -> Any:
        """The scene with what was found in it."""
        with self.read(file, spec) as scene:
            picture = scene.picture()
        return picture if spec.get("untrained") else model.predict(file, save=False, verbose=False)[0].plot()


TASK = Anomaly()
