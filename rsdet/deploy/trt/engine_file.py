"""The file around an engine: a JSON header as Ultralytics writes it, with what we must know to refuse a wrong one.

Layout: four bytes, little endian, the length of the JSON; the JSON; the engine. Ultralytics' loader reads the same
header, so ``YOLO("x.engine")`` works. Under the key ``rsdet`` stands what an artifact of ours says about itself, and
there under ``engine`` where it was built: GPU, compute capability, TensorRT, CUDA and driver, and the engine's SHA-256.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from rsdet import digest
from rsdet.deploy.artifact import KEY
from rsdet.errors import ConfigError, ExportError, RSDetError
from rsdet.textfiles import parse_json, parse_literal
from rsdet.writing import write_bytes

_LITERALS = ("imgsz", "names", "args", "stride", "batch", "channels", "end2end", "kpt_shape")


def onnx_metadata(model: Any) -> dict[str, Any]:
    """Return the metadata of an ONNX model as plain values: Ultralytics' entries and ours under ``rsdet``.

    Args:
        model: Loaded ONNX model.
    """
    found: dict[str, Any] = {p.key: p.value for p in model.metadata_props}
    for key in _LITERALS:
        if isinstance(found.get(key), str):
            found[key] = parse_literal(found[key], f"{key} of the graph", ExportError)
    if isinstance(found.get(KEY), str):
        found[KEY] = parse_json(found[KEY], f"{KEY} of the graph", ExportError)
    if isinstance(found.get(KEY), dict):
        found[KEY].pop(digest.KEY, None)  # of the graph; an engine gets its own
    return found


def write_engine(path: str | Path, engine: bytes, metadata: dict[str, Any]) -> Path:
    """Write an engine with its header: beside its place first, then renamed, so that no half file is ever found.

    Args:
        path: The ``.engine`` file.
        engine: The serialized engine.
        metadata: Ultralytics' entries and ours under ``rsdet``; size and digest of the engine are added there.

    Returns:
        The path.

    Raises:
        WriteError: The disk is full or not writable; what was there before is still there.
    """
    ours = dict(metadata.get(KEY) or {})
    described = {"engine_bytes": len(engine), "engine_sha256": hashlib.sha256(engine).hexdigest()}
    ours["engine"] = {**(ours.get("engine") or {}), **described}
    header = json.dumps({**metadata, KEY: ours}).encode()
    return write_bytes(path, len(header).to_bytes(4, "little", signed=True) + header, engine)


def read_engine(path: str | Path) -> tuple[dict[str, Any], bytes]:
    """Read header and engine.

    Args:
        path: The ``.engine`` file, by rsdet or by Ultralytics.

    Returns:
        The header, and the serialized engine.

    Raises:
        ConfigError: The file does not exist.
        ExportError: It has no header, or is truncated or changed.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"{path} does not exist; expected an engine; build it with rsdet export format=engine")
    data = path.read_bytes()
    length = int.from_bytes(data[:4], "little", signed=True)
    metadata: Any = None
    if 0 < length <= len(data) - 4:
        with suppress(RSDetError):
            metadata = parse_json(data[4 : 4 + length].decode("utf-8", "replace"), path.name)
    if not isinstance(metadata, dict):
        raise ExportError(
            f"{path.name} has no header that says what it is; expected an engine by rsdet or Ultralytics; build it "
            "with rsdet export format=engine, or give one by trtexec its header with rsdet.deploy.trt.engine_file.adopt"
        )
    engine = data[4 + length :]
    ours = metadata.get(KEY)
    said = ours.get("engine") if isinstance(ours, dict) else None
    said = said if isinstance(said, dict) else {}
    if not engine or len(engine) != said.get("engine_bytes", len(engine)):
        raise ExportError(
            f"{path.name} is truncated ({len(engine)} bytes of engine; expected {said.get('engine_bytes', 'more')}); "
            "copy it again or build it again"
        )
    if said.get("engine_sha256", None) not in (None, hashlib.sha256(engine).hexdigest()):
        raise ExportError(f"{path.name} was changed since it was built; expected its own SHA-256; build it again")
    return metadata, engine


def adopt(engine: str | Path, onnx: str | Path) -> Path:
    """Give an engine made by ``trtexec`` the header that rsdet and Ultralytics need; run it where it was built.

    Args:
        engine: File written by ``trtexec --saveEngine``; replaced.
        onnx: The ONNX file that it was built from.

    Returns:
        The path of the engine.

    Raises:
        ExportError: The engine has a header already, or the ONNX file cannot be read.
    """
    from rsdet.deploy.trt.environment import built_on
    from rsdet.deploy.trt.graph import load

    path = Path(engine)
    if not path.is_file():
        raise ConfigError(f"{path} does not exist; expected an engine by trtexec; run the trtexec command first")
    data = path.read_bytes()
    length = int.from_bytes(data[:4], "little", signed=True)
    if 0 < length <= len(data) - 4 and data[4:5] == b"{":
        raise ExportError(f"{path.name} has a header already; expected an engine as trtexec wrote it; use it as it is")
    metadata = onnx_metadata(load(onnx))
    metadata[KEY] = {**(metadata.get(KEY) or {}), "format": "engine", "engine": built_on()}
    return write_engine(path, data, metadata)


def check_device(metadata: dict[str, Any], name: str, here: dict[str, Any]) -> None:
    """Refuse an engine that was built for something else; engines are not portable.

    Args:
        metadata: Header of the engine.
        name: Name of the file, for the message.
        here: What this machine is, as :func:`rsdet.deploy.trt.environment.built_on` says.

    Raises:
        ExportError: TensorRT, GPU or compute capability differ.
    """
    ours = metadata.get(KEY)
    said = (ours.get("engine") if isinstance(ours, dict) else None) or {}
    words = {"tensorrt": "TensorRT", "compute_capability": "compute capability", "gpu": "GPU"}
    for key, word in words.items():
        built, now = said.get(key), here.get(key)
        if built and now and built != now:
            raise ExportError(
                f"{name} was built for {word} {built} and this is {word} {now}; engines run only where they were "
                "built; build it here with rsdet export format=engine, or from the ONNX file with trtexec"
            )
