"""Finds the scripts that make the tiny fake datasets, and helpers that several test files share."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from pathlib import Path

from PIL import Image

from rsdet.data.annotations import Dataset, ImportLog, kind_of


def make_fake(name: str, root: Path) -> Path:
    """Run ``tests/data/<name>/make.py`` into ``root``; returns the dataset's folder."""
    script = Path(__file__).parent / "data" / name / "make.py"
    spec = importlib.util.spec_from_file_location(f"fake_{name}", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.make(root)
    return root


def picture(path: Path, size: tuple[int, int] = (64, 48), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, 100).save(path)
    return path


def text(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def put_in_place(new: Path, old: Path) -> None:
    """Put a file in the place of another of the same size, with its time, as archives and copies do."""
    stat = old.stat()
    assert new.stat().st_size == stat.st_size
    os.utime(new, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    new.replace(old)


def fingerprint(root: Path) -> dict[str, tuple[str, int]]:
    """Digest and time of every file below a folder."""
    return {
        p.relative_to(root).as_posix(): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


def contents(root: Path, suffix: str = "") -> dict[str, str]:
    """Digest of every file below a folder."""
    return {name: digest for name, (digest, _) in fingerprint(root).items() if name.endswith(suffix)}


def drops(log: ImportLog) -> list[tuple[str, str, str]]:
    """``(file, where, kind)`` of everything dropped."""
    return [(d.file, d.where, kind_of(d.reason)) for part in log.values() for d in part.dropped]


def boxes(dataset: Dataset, split: str, name: str) -> list[tuple]:
    """``(class name, x1, y1, x2, y2)`` of the objects of one image."""
    record = next(r for r in dataset.splits[split] if r.name == name)
    return [(dataset.names[o.cls], *o.xyxy_px) for o in record.objects]


def ignored(dataset: Dataset, split: str, name: str) -> list[tuple]:
    return next(r for r in dataset.splits[split] if r.name == name).ignored_xyxy_px
