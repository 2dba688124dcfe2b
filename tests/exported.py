"""Small networks whose boxes and scores differ from each other, as those of trained ones do, without a training."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from ultralytics.engine.model import Model

from rsdet import RSDet
from rsdet.data.scenes import render_scene

QUERIES = 40
BACKBONE = [[-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Conv", [32, 3, 2]], [-1, 1, "Conv", [32, 3, 2]]]
YAMLS = {
    "rtdetr": {
        "family": "rtdetr",
        "backbone": [*BACKBONE, [-1, 1, "Conv", [48, 3, 2]], [-1, 1, "AIFI", [64, 4]]],
        "head": [[[2, 4], 1, "RTDETRDecoder", ["nc", 32, QUERIES, 2, 4, 2, 64]]],
    },
    "yolo": {
        "family": "yolo",
        "backbone": [*BACKBONE, [-1, 1, "Conv", [64, 3, 2]]],
        "head": [[[2, 3], 1, "Detect", ["nc"]]],
    },
}
YAMLS |= {
    "obb": {**YAMLS["yolo"], "task": "obb", "head": [[[2, 3], 1, "OBB", ["nc", 1]]]},
    "segment": {**YAMLS["yolo"], "task": "segment", "head": [[[2, 3], 1, "Segment", ["nc", 8, 16]]]},
}


def model_yaml(kind: str, folder: Path, **more: object) -> Path:
    """Write the YAML of a family into a folder."""
    path = folder / f"{kind}.yaml"
    path.write_text(yaml.safe_dump({"nc": 3, "task": "detect", **YAMLS[kind], **more}))
    return path


def enlivened(model: RSDet) -> RSDet:
    """Change weights so that scores spread over (0, 1); the network itself is changed."""
    head = model.model.model[-1]
    for name, p in head.named_parameters():
        if p.ndim > 1:
            p.data += (0.15 if name.endswith(".2.weight") else 0.1) * torch.randn_like(p)
        elif name.startswith("cv3") and name.endswith(".2.bias"):
            p.data += 4.0  # the prior of a head that expects next to nothing
    scenes = np.stack([render_scene(i, (128, 128)).image for i in range(4)]).transpose(0, 3, 1, 2)
    for m in model.model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = 1.0
    layers = model.model.model[:-1].train()  # features of unit variance, so that pictures make a difference
    with torch.no_grad():
        x = torch.from_numpy(scenes).float() / 255
        for layer in layers:
            x = layer(x)
    model.model.eval()
    return model


def lively(kind: str, folder: Path, **more) -> RSDet:
    """A network of a family, saved and loaded, whose scores spread over (0, 1)."""
    torch.manual_seed(1)
    model = enlivened(RSDet(str(model_yaml(kind, folder, **more))))
    weights = folder / f"{kind}.pt"
    model.save(str(weights))
    return RSDet(weights)


def stock_export(kind: str, folder: Path, format: str = "onnx", head: dict | None = None, **settings: object) -> Path:
    """A lively network, exported by Ultralytics alone; nothing of ours is in the file."""
    model = lively(kind, folder, **(head or {}))
    usual = {"imgsz": 160, "verbose": False} | ({"opset": 17, "simplify": False} if format == "onnx" else {})
    return Path(Model.export(model, format=format, **{**usual, **settings})).resolve()


def pictures(request, folder: Path) -> list[Path]:
    """Real images of odd sizes where there are some, else rendered ones; always some oblong ones."""
    try:
        root = request.getfixturevalue("shared_data")
        found = sorted((root / "dota-sample" / "images").glob("*.png"))[:2]
        found += sorted((root / "hit-uav").rglob("*.jpg"))[:1] + sorted((root / "aerial-cars").glob("*.jpg"))[:1]
    except pytest.skip.Exception:
        found = []
    for i, size in enumerate([(137, 211), (301, 97)] if found else [(137, 211), (301, 97), (160, 128), (64, 513)]):
        cv2.imwrite(str(folder / f"{i}.png"), np.ascontiguousarray(render_scene(i, size).image[..., ::-1]))
    return found + sorted(folder.glob("*.png"))


def almost_equal(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Whether masks, or pictures of them, differ where the sign of a sum that is all but zero may, and no further."""
    return ours.shape == theirs.shape and (ours != theirs).sum() <= 1e-4 * np.count_nonzero(theirs) + 2
