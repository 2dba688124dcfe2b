"""The task ``semantic``: a class for every pixel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rsdet.tasks.network_task import NetworkTask
from rsdet.tasks.semantic.options import SemanticExport
from rsdet.tasks.task import Scores

if TYPE_CHECKING:
    from rsdet.deploy.runners import Runner, TorchRunner
    from rsdet.deploy.settings import ExportSettings
    from rsdet.deploy.verify import Run
    from rsdet.tasks.task import Report

_LOOKING = frozenset({"imgsz", "batch", "classes", "rect", "dnn", "compile", "channels_last"})
STOCK_KEYS = {
    "predict": _LOOKING | {"source", "save", "save_frames", "show", "vid_stride", "stream_buffer", "visualize"},
    "val": _LOOKING | {
        "data", "split", "plots", "save_json", "workers", "cache", "fraction", "deterministic",
    },
}  # fmt: skip
# Keys of Ultralytics for objects, of which nothing comes in a training of maps.
OF_OBJECTS = frozenset({
    "box", "cls", "dfl", "pose", "kobj", "max_det", "nms", "iou", "conf", "agnostic_nms", "single_cls", "mask_ratio",
    "overlap_mask", "copy_paste", "copy_paste_mode", "dropout", "erasing", "auto_augment", "iou_loss", "enhance",
    "freeze_enhancer", "protocol",
})  # fmt: skip


class MapTask(NetworkTask):
    """Maps of classes in the place of pictures, of however many dates."""

    unchecked: ClassVar = {"min_agreement": 0.0, "logit_tol": float("inf")}
    export_options = SemanticExport

    def compare(self, reference: TorchRunner, runs: Sequence[Run], settings: ExportSettings) -> Report:
        """Compare the classes of all pixels, and the logits."""
        from rsdet.tasks.semantic.parity import compare_maps

        return compare_maps(runs, *settings.options.allowed(settings.half))

    def describe(self, module: Any, settings: ExportSettings | None = None) -> dict[str, Any]:
        """What sides of the input are multiples of."""
        return {"stride": int(max(module.stride))}

    def preprocess_rule(self, module: Any) -> str:
        """Letterboxed."""
        from rsdet.tasks.detect.decode import preprocess_rule

        return preprocess_rule("yolo", module.yaml)

    def score(self, model: Any, data: str | Path, **settings: Any) -> Scores:
        """The measures of ``val``; the first one is what counts."""
        metrics = model.val(data=data, **{"plots": False, **settings})
        means = zip(metrics.keys, metrics.mean_results(), strict=True)
        return Scores({k.removeprefix("metrics/"): v for k, v in means}, metrics.images)


class Semantic(MapTask):
    """Maps of classes by networks of our own and of Ultralytics."""

    name = "semantic"
    about = "a class for every pixel: terrain, land cover, landslides"
    families = ("network", "yolo")
    imgsz = 512
    used_keys = STOCK_KEYS
    unused_keys = OF_OBJECTS
    light = "rsdet.tasks.semantic.runtime.cli"
    modes: ClassVar = {
        "masks": "rsdet.tasks.semantic.masks:masks",
        "postprocess": "rsdet.tasks.semantic.postprocess:postprocess",
    }
    end_to_end = "image files to maps of classes"

    def classes(self, family: str) -> dict[str, Any]:
        """Model, trainer, validator and predictor."""
        from rsdet.tasks.semantic.model import MODELS
        from rsdet.tasks.semantic.predict import SemanticPredict
        from rsdet.tasks.semantic.train import SemanticTrain
        from rsdet.tasks.semantic.val import SemanticVal

        parts = {"model": MODELS[family], "trainer": SemanticTrain}
        return {**parts, "validator": SemanticVal, "predictor": SemanticPredict}

    def family_of(self, head: str) -> str:
        """``"yolo"`` for networks of rows."""
        return "yolo" if "Segment" in head else "network"

    def set_variables(self, model: Any, values: Mapping[str, Any], name: str) -> None:
        """Weights take no variables; those of Ultralytics get a head that gives logits in every format."""
        from rsdet.tasks.semantic.model import with_logits

        super().set_variables(model, values, name)
        with_logits(model)

    def build(self, d: dict[str, Any], verbose: bool = False) -> Any:
        """Build the network of a resolved model YAML; one that is a class knows its channels itself."""
        more = {"ch": d.get("channels", 3)} if d["family"] == "yolo" else {}
        return self.classes(d["family"])["model"](d, verbose=verbose, **more)

    def usual(self, mode: str, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """What suits maps: pictures as they are in place of mosaics, one size of input."""
        if mode != "train":
            return {"rect": False}
        from rsdet.tasks.detect.settings import usual_train

        usual = {"mosaic": 0.0, "close_mosaic": 0, **usual_train(model, given)}
        if given.get("method") and isinstance(given.get("batch", 16), int) and given.get("batch", 16) > 0:
            usual["nbs"] = given.get("batch", 16)  # a step after each batch, whose loss is a mean
        return usual

    def outcome(self, images: int, items: int) -> str:
        """Say how many pictures were mapped."""
        return f"{images} picture{'s' * (images != 1)} mapped"

    # -- deployment -----------------------------------------------------------------------------------------------

    def sample(self, model: Any, size: tuple[int, int], images: Sequence[Any] | None) -> list[Any]:
        """Pictures (H, W, C) uint8."""
        from rsdet.deploy.verify import parity_images

        return parity_images(model, images)

    # -- benchmark ------------------------------------------------------------------------------------------------

    def preprocess(self, inputs: Sequence[Any], spec: Mapping[str, Any], size: tuple[int, int]) -> Any:
        """Letterbox pictures."""
        from rsdet.runtime.geometry import lay, letterboxed, to_input

        return to_input([lay(x, letterboxed(x.shape[:2], size)) for x in inputs])

    def read(self, file: Path, spec: Mapping[str, Any]) -> Any:
        """A picture (H, W, C) uint8, in BGR where it has three channels."""
        from rsdet.data.pictures import reader_of

        return reader_of(spec.get("sar"), spec["channels"], spec.get("bands"))(file)

    def pipeline(
        self, run: Runner, spec: Mapping[str, Any], size: tuple[int, int], chain: Any = None
    ) -> Callable[[Sequence[Path]], Any]:
        """Decode, letterbox, run, classes in pixels of the pictures."""
        from rsdet.runtime.geometry import letterboxed
        from rsdet.tasks.semantic.classmap import to_picture

        def maps(files: Sequence[Path]) -> list[Any]:
            pictures = [self.read(f, spec) for f in files]
            logits = run(self.preprocess(pictures, spec, size))
            return [to_picture(x, letterboxed(p.shape[:2], size)) for x, p in zip(logits, pictures, strict=True)]

        return maps

    def pictures(self, data: str | Path, spec: Mapping[str, Any], folder: Path, most: int) -> list[Path]:
        """Images of the validation split."""
        from rsdet.data.resolve import split_files

        return split_files(data, "val", most, self.name)[0]

    def draw(self, model: Any, file: Path, spec: Mapping[str, Any], size: tuple[int, int]) -> Any:
        """Classes over their picture."""
        if spec.get("untrained"):
            return self.read(file, spec)
        (result,) = model.predict(file, imgsz=list(size), save=False, verbose=False)
        return result.plot()


TASK = Semantic()
