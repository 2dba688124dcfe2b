"""Detectors of boxes, turned boxes and masks for the tiles of a scene: Ultralytics' predictor without its loop."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from ultralytics.utils.checks import check_imgsz

from rsdet.arguments import split_keys
from rsdet.calls import class_of
from rsdet.quiet import say
from rsdet.runtime import light
from rsdet.runtime.results import Detections, detections_of
from rsdet.scenes.predictor import TilePredictor

# What changes what is found; all else only changes how fast, or what is written.
_DECIDING = ("conf", "iou", "max_det", "classes", "agnostic_nms", "nms", "quantize", "retina_masks", "bands")

_WITHOUT_EFFECT = ("project", "name", "exist_ok", "save", "mode", "verbose", "rect")


def open_tiles(model: Any, given: Mapping[str, Any], tile_px: int) -> TilePredictor:
    """A loaded model for tiles.

    Args:
        model: The :class:`rsdet.RSDet`.
        given: Checked arguments of ``predict`` without those about scenes.
        tile_px: Side of the tiles, which the network sees at their own resolution unless ``imgsz`` says otherwise.

    Raises:
        ConfigError: A size that the network does not take.
    """
    if isinstance(model.model, (str, Path)) and (
        found := light.tiles({"model": model.model, **_plain(given)}, tile_px)
    ):
        return found
    run = _Run(model, given, tile_px)
    chain = run.predictor.chain
    if chain is not None:
        chain.check_fast("a scene")
    if chain is not None and given.get("enhance_tile") is None:
        say("tile= cuts the scene, and an enhancer gets its tiles; to cut these again for it, say enhance_tile=.")
    args, head = run.predictor.args, getattr(model.model, "model", [None])[-1]
    return TilePredictor(
        run,
        run.predictor.reader,
        {int(k): str(v) for k, v in run.predictor.model.names.items()},
        {
            "weights": _digest(model.model),
            "imgsz": list(run.input_hw),
            "enhance": None if chain is None else chain.key,
            **{k: str(getattr(args, k, given.get(k))) for k in _DECIDING},
        },
        model.model_name,
        model.task,
        f"PyTorch {torch.__version__} on {run.predictor.device}",
        run.input_hw,
        run.stride,
        args.batch if given.get("batch") else (16 if run.predictor.device.type == "cuda" else 1),
        model.bands if given.get("bands") is None else given["bands"],
        getattr(model.model, "yaml", {}).get("gsd"),
        model.family,
        _again(model, given),
        min(args.max_det, getattr(head, "num_queries", args.max_det)),
    )


class _Run:
    def __init__(self, model: Any, given: Mapping[str, Any], tile_px: int):
        own, stock = split_keys(cls := class_of(model, "predict"), given)
        settings = {"imgsz": tile_px, "conf": 0.25, **model.overrides, **stock, "mode": "predict", "save": False}
        if stock.get("imgsz") is None:
            settings["imgsz"] = tile_px
        with torch.inference_mode(False):
            self.predictor = cls(overrides={**settings, "verbose": False})
            self.predictor.setup_model(model=model.model, verbose=False)
            self.predictor.configure(model, **own)
        p = self.predictor
        if hasattr(p.model, "imgsz") and not getattr(p.model, "dynamic", False):
            p.args.imgsz = p.model.imgsz  # of an exported file
        self.stride = int(max(p.model.stride)) if hasattr(p.model.stride, "__len__") else int(p.model.stride)
        p.imgsz = check_imgsz(p.args.imgsz, stride=p.model.stride, min_dim=2)
        self.input_hw = (int(p.imgsz[0]), int(p.imgsz[1]))
        # What Ultralytics sets up for each source, of pictures in memory.
        p.dataset = SimpleNamespace(mode="array")
        p.source_type = SimpleNamespace(tensor=False, stream=False)
        if p.model.format == "pt" and p.model.end2end:
            p.model.model.set_head_attr(max_det=max(p.args.max_det, 300), agnostic_nms=p.args.agnostic_nms)

    @torch.inference_mode()
    def __call__(self, pictures: Sequence[np.ndarray]) -> list[Detections]:
        """What is found in each picture."""
        p, pictures = self.predictor, list(pictures)
        p.batch = ([""] * len(pictures), pictures, [""] * len(pictures))
        x = p.preprocess(pictures)
        return [detections_of(result) for result in p.postprocess(p.inference(x), x, pictures)]


def _again(model: Any, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """What opens the model once more; what has been done to it in memory is not in there."""
    name = model.ckpt_path or (None if getattr(model.model, "learns", True) else model.model_name)
    if name is None:
        return None
    own = model._settings
    settings = {"scale": own["scale"], **own["parts"], **own["variables"]}
    return {"model": str(name), "settings": settings, "given": dict(given), "gpu": str(given.get("device")) != "cpu"}


def _plain(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments without those that only say where Ultralytics' results go, or how it pads pictures of other forms."""
    return {k: v for k, v in given.items() if k not in _WITHOUT_EFFECT}


def _digest(model: Any) -> str:
    """SHA-256 of weights in memory, or of an exported file."""
    found = hashlib.sha256()
    if isinstance(model, (str, Path)):
        files = [Path(model)] if Path(model).is_file() else sorted(p for p in Path(model).rglob("*") if p.is_file())
        for file in files:
            with open(file, "rb") as f:
                while block := f.read(1 << 22):
                    found.update(block)
        return found.hexdigest()
    found.update(repr(sorted(model.yaml.items(), key=str)).encode())
    for name, value in model.state_dict().items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()
