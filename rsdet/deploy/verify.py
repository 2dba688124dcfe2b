"""Run a PyTorch model and its artifact on the same input tensors, and images to do that on."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.pictures import reader_of
from rsdet.deploy.runners import Runner, TorchRunner, first_line
from rsdet.errors import ExportError
from rsdet.tasks.task import Task
from rsdet.textfiles import read_yaml

N_IMAGES = 8  # images per check: enough to see every class of error met so far, few enough for a CPU
_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class Run:
    """One batch and what both sides make of it.

    Attributes:
        samples: What the input was made of.
        size: Height and width of the input in pixels.
        x: The input, (B, C, H, W) float32.
        expected: Outputs of the network, as many as the artifact has.
        got: Outputs of the artifact.
    """

    samples: Sequence[Any]
    size: tuple[int, int]
    x: np.ndarray
    expected: tuple[np.ndarray, ...]
    got: tuple[np.ndarray, ...]


def run_both(
    task: Task,
    spec: Mapping[str, Any],
    reference: TorchRunner,
    runner: Runner,
    samples: dict[tuple[int, int], Sequence[Any]],
    batch: int = 1,
    name: str = "the artifact",
) -> list[Run]:
    """Run a network and an artifact made from it.

    Args:
        task: Makes inputs of samples.
        spec: What the model says of itself.
        reference: The network, unfused and in FP32, as it was trained.
        runner: The artifact.
        samples: Samples for each size, (height, width) in pixels.
        batch: Samples per run; the last one is filled up from the start.
        name: Of the artifact, for messages.

    Raises:
        ExportError: The artifact does not run.
    """
    runs = []
    for size, given in samples.items():
        for chunk in _chunks(given, batch):
            x = task.preprocess(chunk, spec, size)
            try:
                got = runner.outputs(x)
            except runner.errors as e:
                raise ExportError(
                    f"{name} does not run on an input of {x.shape} ({first_line(e)}); expected the output that "
                    "PyTorch gives; export again with other settings"
                ) from e
            runs.append(Run(chunk, size, x, reference.outputs(x)[: len(got)], got))
    return runs


def _chunks(samples: Sequence[Any], batch: int) -> list[list[Any]]:
    """Groups of exactly ``batch`` samples; the last one is filled up from the start."""
    n = -(-len(samples) // batch) * batch
    filled = list(itertools.islice(itertools.cycle(samples), n))
    return [filled[i : i + batch] for i in range(0, n, batch)]


def parity_images(
    model: Any, images: Sequence[str | Path | np.ndarray] | None = None, n: int = N_IMAGES
) -> list[np.ndarray]:
    """Collect images to compare on.

    Args:
        model: Loaded wrapper; its training arguments name the dataset.
        images: Paths or BGR arrays; when None, images of the validation set if they are on this disk, else rendered
            scenes.
        n: How many at most when they are chosen here.

    Raises:
        DataError: An image given cannot be read.
    """
    spec = getattr(getattr(model, "model", None), "yaml", None) or {}
    channels = int(spec.get("channels", 3))
    reader = reader_of(spec.get("sar"), channels, spec.get("bands"))
    if images is not None and len(images):
        return [im if isinstance(im, np.ndarray) else reader(im) for im in images]
    found = _validation_images(model)
    if found:
        return [reader(p) for p in found[:: max(1, len(found) // n)][:n]]
    return rendered(n, channels)


def _validation_images(model: Any) -> list[Path]:
    """Images of the validation split that the model was trained with, as far as they are on this disk."""
    module = getattr(model, "model", None)
    args = getattr(module, "args", None)
    trained = [(getattr(model, "ckpt", None) or {}).get("train_args"), args if isinstance(args, dict) else None]
    data = next((a["data"] for a in trained if a and a.get("data")), None)
    path = Path(str(data or ""))
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return []
    spec = read_yaml(path)
    root = Path(spec.get("path") or path.parent)
    root = root if root.is_absolute() else path.parent / root
    found: list[Path] = []
    for entry in [spec.get("val")] if isinstance(spec.get("val"), str) else spec.get("val") or []:
        place = root / entry
        if place.is_dir():
            found += sorted(p for p in place.rglob("*") if p.suffix.lower() in _PICTURES)
        elif place.is_file():
            listed = [place.parent / line for line in place.read_text(encoding="utf-8").split("\n") if line.strip()]
            found += [p for p in listed if p.is_file()]
    return found


def rendered(n: int, channels: int) -> list[np.ndarray]:
    """Pictures (H, W, C) uint8 of rendered scenes."""
    from rsdet.data.scenes import render_scene

    pictures = [np.ascontiguousarray(render_scene(seed).image[..., ::-1]) for seed in range(n)]
    if channels == 3:
        return pictures
    return [np.repeat(p.mean(axis=2, keepdims=True).astype(np.uint8), channels, axis=2) for p in pictures]
