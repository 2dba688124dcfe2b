"""The ONE way by which Ultralytics gets a data YAML: as plain values that rsdet has read, with nothing in it to run.

Ultralytics executes, or fetches and unpacks, what stands under ``download:`` when images seem to be missing. What it
looks for is not foreseen here: whoever asks it to check a data YAML, a trainer, a validator, a child process or
``YOLO(...)``, it reads a copy without the key. The YAMLs in its own package are its code and go on as they are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import yaml

from rsdet.textfiles import read_yaml

NOT_RUN = "download"  # the key of a data YAML that Ultralytics runs


def is_package_yaml(data: str | Path) -> bool:
    """Whether it names, by file name or by path, a data YAML that is part of the installed Ultralytics."""
    import ultralytics

    folder = Path(ultralytics.__file__).resolve().parent / "cfg" / "datasets"
    path = Path(data)
    if path.exists():
        return path.resolve().parent == folder
    return path.name == str(data) and any((folder / f"{data}{s}").is_file() for s in ("", ".yaml", ".yml"))


def checked(stock: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Ultralytics' check of a data YAML, of a copy in plain values."""

    @wraps(stock)
    def check_det_dataset(dataset: str | Path, autodownload: bool = True, split: str = "") -> dict[str, Any]:
        if is_package_yaml(dataset):
            return stock(dataset, autodownload, split)
        file = Path(dataset)
        if not (file.is_file() and file.suffix.lower() in {".yaml", ".yml"}):
            return stock(dataset, False, split)
        content = {k: v for k, v in read_yaml(file).items() if k != NOT_RUN}
        content["path"] = str(Path(str(content.get("path") or file.resolve().parent)).expanduser())
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / file.name
            copy.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
            try:
                data = stock(copy, False, split)
            except Exception as e:  # of whatever type; it shall name the user's file
                e.args = tuple(a.replace(str(copy), str(file)) if isinstance(a, str) else a for a in e.args)
                if isinstance(e, SyntaxError):
                    e.msg = e.args[0]
                raise
        return {**data, "yaml_file": str(file)}

    return check_det_dataset
