"""The small JSON that ties exported parts together: ``rsdet predict model=chain.json source=...``.

::

    {"rsdet_chain": 1,
     "enhance": ["dwtma.onnx", {"model": "dcp.yaml", "omega": 0.9}],
     "model": "vmc-detr.onnx", "enhance_tile": 512, "enhance_overlap": 64, "sha256": {"dwtma.onnx": "..."}}

Files are named relative to the JSON, so that the folder can be moved; their digests tell when one has been exchanged.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsdet.errors import CheckpointError, ConfigError, nearest_file
from rsdet.modelyaml import find_model_yaml
from rsdet.textfiles import read_json
from rsdet.writing import write_text

VERSION = 1
MARK = "rsdet_chain"
_OLD = {"tile": "enhance_tile", "overlap": "enhance_overlap"}  # names of keys in files of rsdet before scenes


@dataclass(frozen=True)
class ChainFile:
    """What a chain JSON says.

    Attributes:
        enhance: Parts in the order of work: names, or mappings of ``model`` and variables.
        model: The detector behind them; None for a chain alone.
        enhance_tile: Side of the tiles in pixels; None to choose.
        enhance_overlap: Pixels that they share.
        imgsz: Input size of the detector; None for its own.
        sha256: Digest of the files of the chain, by name.
    """

    enhance: list[Any]
    model: str | None = None
    enhance_tile: int | None = None
    enhance_overlap: int | None = None
    imgsz: int | list[int] | None = None
    sha256: dict[str, str] = field(default_factory=dict)


def write_chain_json(path: str | Path, chain: ChainFile) -> Path:
    """Write a chain; the digests of its files are taken.

    Args:
        path: Target, in the folder of the parts.
        chain: What to write; ``sha256`` of it is not looked at.
    """
    path = Path(path)
    names = [n["model"] if isinstance(n, dict) else n for n in chain.enhance] + ([chain.model] if chain.model else [])
    digests = {n: digest(path.parent / n) for n in names if (path.parent / n).exists()}
    content = {
        MARK: VERSION, "enhance": chain.enhance, "model": chain.model, "enhance_tile": chain.enhance_tile,
        "enhance_overlap": chain.enhance_overlap, "imgsz": chain.imgsz, "sha256": digests,
    }  # fmt: skip
    text = json.dumps({k: v for k, v in content.items() if v is not None}, indent=1) + "\n"
    return write_text(path, text)


def read_chain_json(path: str | Path) -> ChainFile:
    """Read a chain and look whether its files are those that it was made of.

    Raises:
        ConfigError: No such file, or none that describes a chain.
        CheckpointError: A part is missing or is another file than it was.
    """
    path = Path(path)
    wanted = "expected the JSON that `rsdet export ... enhance=...` writes; pass that file"
    if not path.is_file():
        hint = nearest_file(path, "*.json")
        raise ConfigError(f"{path} does not exist.{hint} Check the path.")
    d = read_json(path, ConfigError, wanted)
    if not isinstance(d, dict) or not isinstance(d.get("enhance"), list) or not d["enhance"]:
        raise ConfigError(f"{path} names no enhance: parts; {wanted}.")
    if d.get(MARK) != VERSION:
        raise ConfigError(f"{path} is a chain of version {d.get(MARK)!r}, this rsdet reads {VERSION}; export it again.")
    parts = [p.get("model") if isinstance(p, dict) else p for p in (*d["enhance"], *filter(None, [d.get("model")]))]
    d = {_OLD.get(k, k): v for k, v in d.items()}
    sizes = [d.get("enhance_tile"), d.get("enhance_overlap"), *(s if isinstance(s := d.get("imgsz"), list) else [s])]
    digests = d.get("sha256") or {}
    if (
        not all(isinstance(p, str) and p for p in parts)
        or not all(s is None or type(s) is int for s in sizes)
        or not isinstance(digests, dict)
    ):
        raise ConfigError(f"{path} has values of a wrong kind (names are text, sizes whole numbers); {wanted}.")
    for name in parts:  # what a file names is never fetched
        if not (path.parent / name).exists() and find_model_yaml(name) is None:
            raise CheckpointError(f"{path.name} names {name}, which is not beside it; copy the whole folder.")
    for name, known in digests.items():
        file = path.parent / name
        if not file.exists():
            raise CheckpointError(f"{path.name} names {name}, which is not beside it; copy the whole folder.")
        if digest(file) != known:
            raise CheckpointError(f"{name} is not the file that {path.name} was made with; export the chain again.")
    keys = ("model", "enhance_tile", "enhance_overlap", "imgsz")
    return ChainFile(d["enhance"], **{k: d.get(k) for k in keys}, sha256=digests)


def is_chain_json(path: object) -> bool:
    """Whether ``model=`` names a chain."""
    return isinstance(path, (str, Path)) and Path(path).suffix == ".json"


def digest(path: Path) -> str:
    """SHA-256 of a file, or of the files of a folder in order of name."""
    found = hashlib.sha256()
    for file in sorted(path.glob("*")) if path.is_dir() else [path]:
        found.update(file.read_bytes())
    return found.hexdigest()
