"""The task ``detect``: axis-aligned boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rsdet.errors import ConfigError, DataError
from rsdet.tasks.detect.options import DetectExport
from rsdet.tasks.task import Scores, Task

if TYPE_CHECKING:
    import numpy as np

    from rsdet.deploy.runners import Runner, TorchRunner
    from rsdet.deploy.settings import ExportSettings
    from rsdet.deploy.verify import Run
    from rsdet.tasks.detect.export import Form
    from rsdet.tasks.task import Report


_LOOKING = frozenset({
    "imgsz", "batch", "conf", "iou", "max_det", "classes", "agnostic_nms", "augment", "rect", "dnn", "nms", "compile",
    "channels_last", "visualize", "save_txt", "save_conf", "show_conf", "show_labels",
})  # fmt: skip
STOCK_KEYS = {
    "predict": _LOOKING | {
        "source", "save", "save_frames", "save_crop", "show", "show_boxes", "line_width", "embed", "vid_stride",
        "stream_buffer",
    },
    "val": _LOOKING | {
        "data", "split", "plots", "save_json", "single_cls", "workers", "cache", "fraction", "deterministic",
    },
}  # fmt: skip


class Detect(Task):
    """Axis-aligned boxes by networks of the RT-DETR and the YOLO family, and by CFAR."""

    name = "detect"
    about = "axis-aligned boxes around objects"
    families = ("rtdetr", "yolo", "cfar")
    variables = ("nq", "decoder_layers")
    used_keys = STOCK_KEYS
    light = "rsdet.tasks.detect.runtime.cli"
    tiles = "rsdet.tasks.detect.tiles"
    tracks = "rsdet.tasks.detect.tracking"
    shape = "boxes"  # what is measured, a key of rsdet.metrics.detection_areas.SHAPES
    protocol = "coco"  # by which it is measured where nobody says otherwise
    end_to_end = "image files to boxes"
    unchecked: ClassVar = {"box_tol_px": float("inf"), "score_tol": float("inf")}
    export_options = DetectExport
    stac_task = "object-detection"
    takes_int8 = True

    def classes(self, family: str) -> dict[str, Any]:
        """Model, trainer, validator and predictor of a family."""
        if family == "cfar":
            from rsdet.tasks.detect.cfar import CFARModel, CFARPredict, CFARVal

            return {"model": CFARModel, "validator": CFARVal, "predictor": CFARPredict}
        from rsdet.tasks.detect.model import MODELS
        from rsdet.tasks.detect.predict import RTDETRPredict, YOLOPredict
        from rsdet.tasks.detect.train import RTDETRTrain, YOLOTrain
        from rsdet.tasks.detect.tune import DetectTuner
        from rsdet.tasks.detect.val import RTDETRVal, YOLOVal

        both = {"model": MODELS[family], "tuner": DetectTuner}
        if family == "rtdetr":
            return {**both, "trainer": RTDETRTrain, "validator": RTDETRVal, "predictor": RTDETRPredict}
        return {**both, "trainer": YOLOTrain, "validator": YOLOVal, "predictor": YOLOPredict}

    def check_yaml(self, d: dict[str, Any], name: str) -> dict[str, Any]:
        """Make sure that only a method has no rows.

        Raises:
            ConfigError: A network has none.
        """
        if d["family"] != "cfar":
            raise ConfigError(f"{name} has no backbone rows; it does not describe a model.")
        return d

    def family_of(self, head: str) -> str:
        """``"rtdetr"`` or ``"yolo"``."""
        return "rtdetr" if "RTDETR" in head else "yolo"

    def check_model(self, module: Any, family: str, name: str) -> None:
        """Make sure that a network ends in a head of its family.

        Raises:
            ConfigError: It does not.
        """
        from rsdet.tasks.detect.model import check_head

        super().check_model(module, family, name)
        check_head(module, family, name)

    def set_variables(self, model: Any, values: Mapping[str, Any], name: str) -> None:
        """Set the number of queries, and of the decoder layers that are run, of weights of the RT-DETR family.

        Raises:
            ConfigError: Other weights, or a value out of its range.
        """
        from rsdet.tasks.detect.settings import set_decoder_layers, set_queries

        super().set_variables(model, values, name)
        if "nq" in values:
            set_queries(model, values["nq"])
        if "decoder_layers" in values:
            set_decoder_layers(model, values["decoder_layers"])

    def settings(self, mode: str, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments with ``enhance=`` and ``freeze=`` in terms that our classes know."""
        if mode == "train":
            from rsdet.enhance.wiring import train_settings

            return train_settings(model, dict(given))
        if mode == "val":
            from rsdet.enhance.wiring import check_moved

            check_moved(given)
        if given.get("enhance", "") is None:  # said to be none, whatever the model's file ties to it
            return {**given, "enhance": "none"}
        return dict(given)

    def usual(self, mode: str, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """What suits detectors, and what an exported file was made with."""
        from rsdet.tasks.detect import settings

        return getattr(settings, f"usual_{mode}")(model, given)

    def validate(self, model: Any, own: dict[str, Any], measure: Callable[..., Any]) -> Any:
        """Validate; with ``enhance=`` without and with it."""
        from rsdet.enhance.compare import val_both
        from rsdet.enhance.wiring import take_chain
        from rsdet.tasks.detect.settings import rule_of

        chain = take_chain(model, own)
        name = own.get("protocol") or self.protocol
        rule = rule_of(name, own.pop("ignore_regions", None), self.shape)
        own["protocol"] = rule
        if chain is None:
            return measure(own)

        def one(chain: Any, folder: Path | None) -> Any:
            return measure({**own, "enhance": chain}, **({} if folder is None else {"save_dir": folder}))

        return val_both(chain, one, rule.name if rule else name)

    def outcome(self, images: int, items: int) -> str:
        """Say how many objects were found."""
        return f"{items} objects in {images} images"

    # -- deployment -----------------------------------------------------------------------------------------------

    def check_export(self, settings: ExportSettings) -> None:
        """Refuse thresholds out of range, and suppression where it cannot be."""
        from rsdet.tasks.detect.export import check_export

        check_export(settings, self.shape)

    def exporter_settings(self, module: Any, settings: ExportSettings) -> dict[str, Any]:
        """Suppression, and how many boxes come out."""
        from rsdet.tasks.detect.export import exporter_settings

        return exporter_settings(module, settings)

    def describe(self, module: Any, settings: ExportSettings | None = None) -> dict[str, Any]:
        """Of an exported file: thresholds."""
        if settings is None:
            return {}
        from rsdet.tasks.detect.export import describe

        return describe(module, settings)

    def preprocess_rule(self, module: Any) -> str:
        """Stretched or letterboxed, as the family is."""
        from rsdet.tasks.detect.decode import preprocess_rule

        return preprocess_rule(self._family(module), getattr(module, "yaml", None) or {})

    def _family(self, module: Any) -> str:
        """How the pictures of a network are resized and its outputs are read."""
        return getattr(module, "family", None) or self.family_of(type(module.model[-1]).__name__)

    def reference(self, module: Any, settings: ExportSettings) -> Any:
        """The network with the one of its two heads that was exported."""
        from rsdet.tasks.detect.export import reference

        return reference(module, settings)

    def in_graph(self, output: np.ndarray, settings: ExportSettings) -> np.ndarray:
        """Corners in place of centre and size, where suppression follows in the graph."""
        from rsdet.tasks.detect.export import in_graph

        return in_graph(output, settings)

    def compare(self, reference: TorchRunner, runs: Sequence[Run], settings: ExportSettings) -> Report:
        """Compare detections, matched one to one, in pixels and in points of score."""
        from rsdet.tasks.detect.export import compare_boxes

        return compare_boxes(reference, runs, settings, self.form(reference.module, runs))

    def form(self, module: Any, runs: Sequence[Run]) -> Form:
        """How outputs of a network are read and compared.

        Args:
            module: The network.
            runs: Those that are compared.
        """
        from rsdet.tasks.detect.export import Form

        return Form(self._family(module))

    def score_settings(self, settings: ExportSettings) -> dict[str, Any]:
        """The protocol, and the suppression that the graph holds."""
        from rsdet.tasks.detect.export import score_settings

        return score_settings(settings)

    def sample(self, model: Any, size: tuple[int, int], images: Sequence[Any] | None) -> list[Any]:
        """Pictures (H, W, C) uint8."""
        from rsdet.deploy.verify import parity_images

        return parity_images(model, images)

    def score(self, model: Any, data: str | Path, **settings: Any) -> Scores:
        """AP and AP50, under the protocol and as Ultralytics counts."""
        metrics = model.val(data=data, **{"plots": False, **settings})
        stock = metrics.seg if self.shape == "masks" else metrics.box
        both, images = {"ultralytics AP": stock.map, "ultralytics AP50": stock.map50}, 0
        if ours := getattr(metrics, "protocol_metrics", None):  # only our own models are validated under a protocol
            if ours.ap is None:
                raise DataError(
                    f"data={data} has no labelled object in its val split, so that no AP can be measured; add some"
                )
            both = {f"{ours.protocol.name} AP": ours.ap, f"{ours.protocol.name} AP50": ours.ap50, **both}
            images = ours.n_images
        return Scores({k: float(v) for k, v in both.items() if v is not None}, images)

    # -- benchmark ------------------------------------------------------------------------------------------------

    def preprocess(self, inputs: Sequence[Any], spec: Mapping[str, Any], size: tuple[int, int]) -> Any:
        """Resize pictures as the family does."""
        from rsdet.tasks.detect.decode import preprocess

        return preprocess(inputs, spec["family"], size)

    def read(self, file: Path, spec: Mapping[str, Any]) -> Any:
        """A picture (H, W, C) uint8, in BGR where it has three channels."""
        from rsdet.data.pictures import reader_of

        return reader_of(spec.get("sar"), spec["channels"], spec.get("bands"))(file)

    def pipeline(
        self, run: Runner, spec: Mapping[str, Any], size: tuple[int, int], chain: Any = None
    ) -> Callable[[Sequence[Path]], Any]:
        """Decode, enhance where there is a chain, resize, run, suppress."""

        def objects(files: Sequence[Path]) -> list[Any]:
            pictures = [self.read(f, spec) for f in files]
            if chain is not None:
                pictures = [chain.apply_bgr(p) for p in pictures]
            shapes = [p.shape[:2] for p in pictures]
            return self.objects(run, self.preprocess(pictures, spec, size), spec, size, shapes)

        return objects

    def objects(
        self,
        run: Runner,
        x: np.ndarray,
        spec: Mapping[str, Any],
        size: tuple[int, int],
        shapes: Sequence[tuple[int, int]],
    ) -> list[Any]:
        """What a network finds in an input, in pixels of the pictures of ``shapes``, (height, width)."""
        from rsdet.tasks.detect.decode import detections_from_raw
        from rsdet.tasks.detect.thresholds import CONF

        return detections_from_raw(run(x), spec["family"], size, shapes, conf=CONF)

    def pictures(self, data: str | Path, spec: Mapping[str, Any], folder: Path, most: int) -> list[Path]:
        """Images of the validation split."""
        from rsdet.data.resolve import split_files

        return split_files(data, "val", most, self.name)[0]

    def chain(self, model: Any, settings: Mapping[str, Any]) -> Any:
        """The chain that is asked for, else that of the model's own file."""
        from rsdet.enhance.wiring import chain_for

        return chain_for(model, **settings)

    def draw(self, model: Any, file: Path, spec: Mapping[str, Any], size: tuple[int, int]) -> Any:
        """Detections in their picture."""
        if spec.get("untrained"):
            return self.read(file, spec)
        (result,) = model.predict(file, imgsz=list(size), save=False, verbose=False)
        result.legend = True
        return result.plot()


TASK = Detect()
