"""A STAC item beside an exported file: what the model is, what it takes and gives, and which bytes it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsdet.deploy.hardware import version
from rsdet.deploy.job import Job
from rsdet.deploy.runners import open_runner
from rsdet.stac import ROLE, band_objects, item, model_properties
from rsdet.writing import write_text

_EVERYWHERE = (-180.0, -90.0, 180.0, 90.0)  # MLM: a model that is not bound to a place
_EXTENSIONS = ("https://stac-extensions.github.io/file/v2.1.0/schema.json",)
_AXES = {2: ("batch", "class"), 3: ("batch", "row", "column"), 4: ("batch", "channel", "height", "width")}
_KINDS = {  # format -> framework, package whose version it is, kind of artifact, media type
    "onnx": ("ONNX", "onnx", "onnx", "application/octet-stream; application=onnx"),
    "openvino": ("OpenVINO", "openvino", "openvino", "application/xml; application=openvino"),
    "torchscript": ("PyTorch", "torch", "torch.jit.save", "application/zip; application=pytorch"),
    "engine": ("TensorRT", "tensorrt", "tensorrt.engine", "application/octet-stream; application=tensorrt"),
}


def write_item(job: Job, made: Path, meta: dict[str, Any]) -> Path:
    """Write ``<artifact>.stac.json``.

    Args:
        job: The export.
        made: The artifact in its place.
        meta: What was written into it.
    """
    s = job.settings
    framework, package, kind, media_type = _KINDS[s.format]
    files = _files(made)
    bands = meta.get("bands") or range(1, meta["channels"] + 1)
    free = s.dynamic is True
    shape = [-1 if s.dynamic else s.batch, meta["channels"], *((-1, -1) if free else s.size)]
    model = model_properties(
        made.name, job.task.stac_task, meta["family"], {int(k): v for k, v in meta["names"].items()}, bands, shape,
        _output(job, made), steps=meta.get("preprocess"), framework=framework, framework_version=version(package),
        total_parameters=sum(p.numel() for p in job.module.parameters()), pretrained=not meta.get("untrained"),
        file_size=sum(f.stat().st_size for f in files), batch_size_suggestion=s.batch,
        hyperparameters=meta.get("thresholds"), accelerator="cuda" if s.format == "engine" else None,
        accelerator_constrained=s.format == "engine",
    )  # fmt: skip
    assets = {
        "model" if i == 0 else file.suffix.lstrip("."): {
            "href": f"./{file.relative_to(made.parent).as_posix()}",
            "type": media_type if i == 0 else "application/octet-stream",
            "roles": [ROLE] if i == 0 else ["mlm:weights"],
            "file:size": file.stat().st_size,
            "file:checksum": f"1220{_sha256(file)}",  # a multihash: SHA-256, 32 bytes
            **({"mlm:artifact_type": kind, "bands": band_objects(bands)} if i == 0 else {}),
        }
        for i, file in enumerate(files)
    }
    west, south, east, north = _EVERYWHERE
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    more = {f"rsdet:{key}": meta[key] for key in ("version", "weights_sha256", "gsd") if meta.get(key)}
    text = item(
        made.stem, model, assets, geometry={"type": "Polygon", "coordinates": [ring]}, bbox=_EVERYWHERE, more=more,
        extensions=_EXTENSIONS,
    )  # fmt: skip
    return write_text(made.with_name(f"{made.name}.stac.json"), text)


def _files(made: Path) -> Sequence[Path]:
    """The graph, and where its weights are another file, those."""
    if made.is_file():
        return [made]
    return [*sorted(made.glob("*.xml")), *sorted(made.glob("*.bin"))]


def _output(job: Job, made: Path) -> tuple[list[int], Sequence[str]]:
    """Shape of the first output, with -1 where the input may have another size, and names of its axes."""
    s = job.settings
    x = job.task.preprocess((list(job.samples[s.size]) * s.batch)[: s.batch], job.meta, s.size)
    shape = list(open_runner(made, job.home(s.format))(x).shape)
    if s.dynamic:
        shape[0] = -1
    if s.dynamic is True:
        shape[1:] = [-1] * (len(shape) - 1)
    return shape, _AXES.get(len(shape)) or [f"axis {i}" for i in range(len(shape))]


def _sha256(file: Path) -> str:
    found = hashlib.sha256()
    with open(file, "rb") as f:
        while block := f.read(1 << 22):
            found.update(block)
    return found.hexdigest()
