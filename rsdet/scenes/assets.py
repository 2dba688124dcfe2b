"""The raster files that STAC items name: one item, or an item collection, as JSON beside its files."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from rsdet.errors import DataError
from rsdet.textfiles import read_json

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/|//|\\\\|/vsi")  # one letter before the colon is a drive
REMOTE = "download it first and pass the copy (nothing is fetched unasked)"
_ROLES = ("data", "visual")  # in this order


def is_remote(name: str) -> bool:
    """Whether a name means something on another machine: a URL, a share, a virtual path of GDAL."""
    return _REMOTE.match(name) is not None


def assets_of(file: Path, suffixes: Collection[str]) -> tuple[list[Path], list[str]]:
    """The data asset of each item of a file.

    Args:
        file: JSON of a STAC item or of a FeatureCollection of items. Relative references begin in its folder.
        suffixes: How rasters end whose asset has no media type.

    Returns:
        Their paths, which need not exist, and one line for each item without one.

    Raises:
        DataError: The file holds something else.
    """
    content = read_json(file, wanted="pass a STAC item or item collection")
    content = content if isinstance(content, dict) else {}
    items = [content] if content.get("type") == "Feature" else content.get("features")
    if not isinstance(items, list) or not items:
        kind = content.get("type")
        what = f"holds a STAC {kind}" if kind in ("Catalog", "Collection") else "holds no STAC items"
        raise DataError(f"{file} {what}; pass a STAC item, an item collection or the raster files.")
    found, skipped = [], []
    for i, item in enumerate(items):
        item = item if isinstance(item, dict) else {}
        try:
            found.append(_local(file.parent, _data_asset(item.get("assets"), suffixes)))
        except ValueError as e:
            skipped.append(f"{file}: item {str(item.get('id', i))[:80]!r} {str(e)[:300]}")
    return found, skipped


def _data_asset(assets: Any, suffixes: Collection[str]) -> str:
    """Reference of the one raster of an item that holds its data, else its picture, else its one GeoTIFF."""
    known = {str(k): a for k, a in assets.items() if _is_raster(a, suffixes)} if isinstance(assets, dict) else {}
    groups = [{k: a for k, a in known.items() if role in (a.get("roles") or ())} for role in _ROLES]
    groups.append({k: a for k, a in known.items() if "tiff" in str(a.get("type"))})
    for group in groups:
        if len(group) == 1:
            return str(next(iter(group.values()))["href"])
    keys = [key for group in groups for key in group]
    if not keys:
        raise ValueError("has no asset that is a raster of data; pass the file itself")
    shown = ", ".join(dict.fromkeys(keys[:4])) + (", ..." if len(keys) > 4 else "")
    raise ValueError(f"has several rasters of data ({shown}); stack them to one file and pass that")


def _is_raster(asset: Any, suffixes: Collection[str]) -> bool:
    if not isinstance(asset, Mapping) or not isinstance(asset.get("href"), str) or not asset["href"]:
        return False
    kind = asset.get("type")
    return kind.startswith("image/") if isinstance(kind, str) else Path(asset["href"]).suffix.lower() in suffixes


def _local(folder: Path, href: str) -> Path:
    """Path that a reference means; escapes such as ``%20`` are undone where no file has them in its name."""
    href = re.sub(r"file://(localhost)?(?=/)", "", href)
    if is_remote(href):
        raise ValueError(f"lies at {href}; {REMOTE}")
    path = folder / href
    return path if path.exists() else folder / unquote(href)
