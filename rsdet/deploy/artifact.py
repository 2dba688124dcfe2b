"""What rsdet writes into an exported file, and reads back: one JSON under the key ``rsdet``.

ONNX: an entry of ``metadata_props``. OpenVINO: an entry of ``metadata.yaml`` beside the model. TorchScript: an extra
file ``rsdet.json`` in the archive. Several graphs: ``parts.json`` in their folder. What Ultralytics' loaders read of
its own metadata stays, so that they keep working. Every file holds its own digest (:mod:`rsdet.digest`), which is
checked whenever it is loaded.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsdet import digest as digests
from rsdet._version import __version__
from rsdet.deploy.hardware import git_commit, version
from rsdet.errors import CheckpointError, ConfigError
from rsdet.runtime.metadata import merged, stored_metadata, unreadable
from rsdet.tasks.task import Task
from rsdet.textfiles import read_yaml
from rsdet.writing import replacing

KEY = "rsdet"


def describe(model: Any, module: Any, task: Task, format: str) -> dict[str, Any]:
    """Collect what a deployment must know about a model, whatever its task.

    Args:
        model: The loaded wrapper.
        module: Its network.
        task: Its task.
        format: Kind of artifact.
    """
    names = getattr(module, "names", None) or {}
    spec = getattr(module, "yaml", None) or {}
    reading = {k: spec[k] for k in ("sar", "bands", "gsd") if spec.get(k) is not None}
    if getattr(model, "untrained", False):
        reading["untrained"] = True  # whoever predicts with the file is told
    return {
        "family": family_of(model, module, task),
        "task": task.name,
        "names": {str(k): str(v) for k, v in (names.items() if isinstance(names, dict) else enumerate(names))},
        "channels": int(spec.get("channels", 3)),
        "format": format,
        "version": __version__,
        "ultralytics": version("ultralytics"),
        "torch": version("torch"),
        "git_commit": git_commit(),
        "weights_sha256": weights_sha256(module),
        **reading,  # how files become pictures: part of the model
    }


def weights_sha256(module: Any) -> str:
    """Return the SHA-256 over names, shapes and float32 values of all parameters and buffers, in order of name.

    Storing a model in half precision changes it; moving it between devices or files does not.
    """
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() else value
        digest.update(f"{name}{tuple(value.shape)}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def family_of(model: Any, module: Any, task: Task) -> str:
    """Family that a model says it is of, else that of the class of its head."""
    stated = getattr(model, "family", None) or getattr(module, "family", None)
    return stated or task.family_of(type(module.model[-1]).__name__)


def write_metadata(path: Path, format: str, meta: dict[str, Any]) -> None:
    """Write ``meta`` into an artifact, replacing what was there under our key; the file is whole at any time.

    Raises:
        ExportError: It could not be written; the file is as it was.
    """
    path = Path(path)
    several = path / digests.PARTS
    # The whole of the file stands before its digest can; first, so that text that is cut short still holds it.
    meta = {digests.KEY: digests.BLANK, **{k: v for k, v in meta.items() if k != digests.KEY}}
    text = json.dumps(meta, sort_keys=True)
    if several.is_file():
        with replacing(several) as new:
            new.write_text(json.dumps(meta, indent=1, ensure_ascii=False), encoding="utf-8")
            digests.seal(new, path)
    elif format == "onnx":
        import onnx

        graph = onnx.load(str(path))
        known = {p.key: p.value for p in graph.metadata_props}
        del graph.metadata_props[:]
        for key, value in {**known, KEY: text}.items():
            graph.metadata_props.add(key=key, value=value)
        with replacing(path) as new:
            onnx.save(graph, str(new))
            digests.seal(new)
    elif format == "openvino":
        import yaml

        sidecar = path / "metadata.yaml"
        known = read_yaml(sidecar) if sidecar.exists() else {}
        content = yaml.safe_dump(
            {KEY: meta, **{k: v for k, v in known.items() if k != KEY}}, sort_keys=False, allow_unicode=True
        )
        with replacing(sidecar) as new:
            new.write_text(content, encoding="utf-8")
            digests.seal(new, path)
    elif format == "torchscript":
        import torch

        extra = {"config.txt": ""}
        module = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)
        extra = {k: v.decode() if isinstance(v, bytes) else v for k, v in extra.items()}
        # Through memory: where the disk is full, PyTorch's own writer ends the process.
        content = module.save_to_buffer(_extra_files={**extra, "rsdet.json": text})
        with replacing(path) as new:
            new.write_bytes(_without_places(content))
            entry = digests.digest(new)
            new.write_bytes(_without_places(content, {digests.BLANK: entry}))
    elif format == "engine":
        from rsdet.deploy.trt.engine_file import read_engine, write_engine

        known, engine = read_engine(path)
        ours = {**(known.get(KEY) or {}), **meta}
        with replacing(path) as new:
            write_engine(new, engine, {**known, KEY: ours})
            digests.seal(new)


def _without_places(archive: bytes, words: Mapping[str, str] | None = None) -> bytes:
    """A TorchScript archive without the places of source files on this machine, which only its tracebacks would show.

    Args:
        archive: The content of the file.
        words: What to write in the place of what in ``rsdet.json``.
    """
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(made, "w") as new:
        for part in old.infolist():
            content = old.read(part)
            if part.filename.endswith("extra/rsdet.json"):
                for word, better in (words or {}).items():
                    content = content.replace(word.encode(), better.encode())
            if not part.filename.endswith(".debug_pkl"):
                new.writestr(zipfile.ZipInfo(part.filename), content, part.compress_type)
    return made.getvalue()


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Read the metadata of an exported file without loading the network.

    Args:
        path: Artifact of any format that Ultralytics exports.

    Returns:
        Ultralytics' entries overlaid with ours (``family``, ``task``, ``names`` with integer keys, ``imgsz``, …);
        empty for a file that says nothing about itself.

    Raises:
        CheckpointError: Metadata that cannot be understood, or the file was changed since.
    """
    path = Path(path)
    stored = _stored(path)
    ours = stored.pop(KEY, None) or _torchscript_extra(path)
    meta = merged({**stored, KEY: ours}, path.name)
    digests.check(path, meta)
    return meta


def _stored(path: Path) -> dict[str, Any]:
    """Entries as they stand in the file, or beside it."""
    if (path / digests.PARTS).is_file():
        return stored_metadata(path)
    from ultralytics.nn.backends.base import BaseBackend

    sidecar = (path if path.is_dir() else path.parent) / "metadata.yaml"
    if (path.is_dir() or path.suffix == ".xml") and sidecar.is_file():
        return read_yaml(sidecar, CheckpointError)
    found = BaseBackend.read_metadata(path)
    return dict(found) if isinstance(found, dict) else {}


def check_foreign(meta: dict[str, Any], path: str | Path, tasks: tuple[str, ...]) -> None:
    """Refuse a file that does not say what it is, or is for another task: whatever it puts out would be misread.

    Args:
        meta: What :func:`read_metadata` found.
        path: The file, for messages.
        tasks: Tasks that can be run.

    Raises:
        CheckpointError: There is no ``task`` or no ``names`` in it.
        ConfigError: It is a model for another task.
    """
    name = Path(path).name
    missing = " and ".join(f"{k}:" for k in ("task", "names") if not meta.get(k))
    if missing:
        raise CheckpointError(
            f"{name} does not say what it is (no {missing} in its metadata, or the file is damaged); expected a model "
            "exported by rsdet or Ultralytics; export it again, or open it with Ultralytics' YOLO(file, task=...)."
        )
    if meta["task"] not in tasks:
        raise ConfigError(f"{name} is a model for task={meta['task']!r}; expected {' or '.join(tasks)}.")


def _torchscript_extra(path: Path) -> str | None:
    if path.suffix != ".torchscript" or not zipfile.is_zipfile(path):
        return None
    try:
        with zipfile.ZipFile(path) as z:
            name = next((n for n in z.namelist() if n.endswith("extra/rsdet.json")), None)
            return z.read(name).decode() if name else None
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as e:
        raise unreadable(path.name, e) from e
