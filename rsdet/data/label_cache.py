"""The label cache: what a scan of a data set found, kept beside its labels in a form that holds no code.

Ultralytics keeps its own in ``<labels>.cache``, a pickle, and reading a pickle runs what it says. Ours is
``<labels>.rsdet-cache``, a ``.npz`` of plain arrays; a ``*.cache`` is neither read nor written. Whatever is wrong with
a cache, the scan is simply made again.
"""

from __future__ import annotations

import io
import itertools
import json
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
from ultralytics.data.dataset import DATASET_CACHE_VERSION

from rsdet.errors import WriteError
from rsdet.writing import write_bytes

SUFFIX = ".rsdet-cache"
_VERSION = f"1-{DATASET_CACHE_VERSION}"


def read_label_cache(path: Path, key: str, im_files: Sequence[str], classes: float = math.inf) -> dict[str, Any] | None:
    """What :func:`write_label_cache` kept, as Ultralytics' ``cache_labels`` returns it.

    Args:
        path: The cache.
        key: Ultralytics' hash of the files and settings that were scanned.
        im_files: Image files of the data set, those of the scan.
        classes: Number of classes; labels of others make the cache unusable.

    Returns:
        None where there is no cache of exactly this scan.
    """
    try:
        with zipfile.ZipFile(path) as z:  # stored, not compressed: what it takes is what the file has
            if any(m.compress_type != zipfile.ZIP_STORED for m in z.infolist()):
                return None
        with np.load(path, allow_pickle=False) as kept:
            a = {name: kept[name] for name in kept.files}
        facts = json.loads(a["facts"].tobytes())
        if facts["key"] != key or facts["version"] != _VERSION or not _sound(a, len(im_files), classes):
            return None
        labels = list(_labels(a, im_files))
        results, msgs = tuple(map(int, facts["results"])), list(map(str, facts["msgs"]))
        if len(results) != 5:
            return None
    except Exception:  # missing, cut, damaged, planted: it is a cache, and the labels are there to be read
        return None
    found = {"labels": labels, "results": results, "msgs": msgs, "hash": key, "version": DATASET_CACHE_VERSION}
    return {**found, "more": facts.get("more")}


def _sound(a: dict[str, np.ndarray], images: int, classes: float) -> bool:
    """Whether the arrays fit each other, the images and the classes."""
    numbers = ("image", "size_hw", "objects", "polygons", "corners")
    return bool(
        all(a[n].dtype == np.int64 and (a[n] >= 0).all() for n in numbers)
        and all(a[n].dtype == np.float32 for n in ("cls", "bboxes", "points"))
        and (a["image"] < images).all()
        and len(a["image"]) == len(a["size_hw"]) == len(a["objects"]) == len(a["polygons"]) > 0
        and a["size_hw"].shape[1:] == a["points"].shape[1:] == (2,)
        and len(a["cls"]) == len(a["bboxes"]) == a["objects"].sum()
        and a["cls"].shape[1:] == (1,)
        and a["bboxes"].shape[1:] == (4,)
        and (len(a["corners"]), len(a["points"])) == (a["polygons"].sum(), a["corners"].sum())
        and ((a["cls"] >= 0) & (a["cls"] < classes)).all()
        and (np.abs(a["bboxes"]) <= 1.02).all()
    )


def _labels(a: dict[str, np.ndarray], im_files: Sequence[str]) -> Iterator[dict[str, Any]]:
    objects, polygons, corners = ([0, *np.cumsum(a[n]).tolist()] for n in ("objects", "polygons", "corners"))
    every = [a["points"][i:j] for i, j in itertools.pairwise(corners)]
    for n, (image, shape) in enumerate(zip(a["image"].tolist(), a["size_hw"].tolist(), strict=True)):
        mine = slice(*objects[n : n + 2])
        yield {
            "im_file": im_files[image],
            "shape": tuple(shape),
            "cls": a["cls"][mine],
            "bboxes": a["bboxes"][mine],
            "segments": every[slice(*polygons[n : n + 2])],
            "keypoints": None,
            "normalized": True,
            "bbox_format": "xywh",
        }


def write_label_cache(path: Path, key: str, im_files: Sequence[str], scan: dict[str, Any]) -> None:
    """Keep the result of a scan.

    Args:
        path: The cache; its folder is not made.
        key: Ultralytics' hash of the files and settings that were scanned.
        im_files: Image files of the data set.
        scan: What Ultralytics' ``cache_labels`` returned; ``more`` of it is what a data set of ours found besides.

    Raises:
        WriteError: The folder does not exist or cannot be written.
    """
    place, labels = {f: i for i, f in enumerate(im_files)}, scan["labels"]
    outlines = [s for label in labels for s in label["segments"]]
    kept = {"results": scan["results"], "msgs": scan["msgs"], "more": scan.get("more")}
    facts = {"version": _VERSION, "key": key, **kept}
    arrays = {
        "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8),
        "image": np.array([place[label["im_file"]] for label in labels], np.int64),
        "size_hw": np.array([label["shape"] for label in labels], np.int64).reshape(-1, 2),
        "objects": np.array([len(label["cls"]) for label in labels], np.int64),
        "cls": np.concatenate([label["cls"] for label in labels]).astype(np.float32),
        "bboxes": np.concatenate([label["bboxes"] for label in labels]).astype(np.float32),
        "polygons": np.array([len(label["segments"]) for label in labels], np.int64),
        "corners": np.array([len(s) for s in outlines], np.int64),
        "points": np.concatenate([np.zeros((0, 2)), *outlines]).astype(np.float32),
    }
    if not path.parent.is_dir():
        raise WriteError(f"{path.parent} does not exist")

    content = io.BytesIO()
    np.savez(content, **arrays)
    write_bytes(path, content.getvalue())


def save(stock: Callable[..., None]) -> Callable[..., None]:
    """Ultralytics' function that writes a cache, which leaves ours to us."""

    @wraps(stock)
    def save_dataset_cache_file(prefix: str, path: Path, x: dict[str, Any], version: str) -> None:
        if Path(path).suffix != SUFFIX:
            stock(prefix, path, x, version)
        x["version"] = version  # what Ultralytics' own does beside writing; whoever asked for our scan writes it

    return save_dataset_cache_file
