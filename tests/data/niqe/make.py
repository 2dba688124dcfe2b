"""Make a picture, and store what BasicSR's NIQE says of it. No rsdet code.

    git clone https://github.com/XPixelGroup/BasicSR
    git -C BasicSR checkout 8d56e3a045f9fb3e1d8872f92ee4a4f07f886b0a
    PYTHONPATH=BasicSR python .../tests/data/niqe/make.py        # needs numpy, scipy, opencv-python, torch

Its packages are entered without their ``__init__``, which import much that is not needed. The authors' own parameters,
which it ships, are not used: mean and variance of the undisturbed are stored beside the score.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent


def basicsr_niqe() -> types.ModuleType:
    root = next(Path(p) / "basicsr" for p in sys.path if (Path(p) / "basicsr").is_dir())
    for name in ("basicsr", "basicsr.metrics", "basicsr.utils"):
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    sys.modules["basicsr.utils"].bgr2ycbcr = None  # asked for by name, not used on gray pictures
    spec = importlib.util.spec_from_file_location("basicsr.metrics.niqe", root / "metrics" / "niqe.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def picture(rng: np.random.Generator) -> np.ndarray:
    """(200, 300) uint8: texture that leans, so that the four directions differ; no multiple of a patch."""
    noise = rng.normal(size=(200, 300))
    leaning = np.array([[0, 0, 1, 2], [0, 1, 4, 1], [1, 4, 1, 0], [3, 1, 0, 0]], dtype=np.float64)
    x = cv2.filter2D(noise, -1, leaning / leaning.sum()) + 0.5 * cv2.GaussianBlur(noise, (0, 0), 4)
    x = x * np.linspace(0.5, 1.5, 300) + 0.3 * np.abs(x)
    return np.clip(np.rint(110 + 60 * x), 0, 255).astype(np.uint8)


def main() -> None:
    niqe = basicsr_niqe()
    rng = np.random.default_rng(20261129)
    image = picture(rng)
    cv2.imwrite(str(HERE / "picture.png"), image)
    gray = image.astype(np.float64)
    window = cv2.getGaussianKernel(7, 7 / 6)
    window = window @ window.T

    rows, stock = [], niqe.compute_feature

    def note(block: np.ndarray) -> list[float]:
        rows.append([float(v) for v in stock(block)])
        return rows[-1]

    niqe.compute_feature = note
    niqe.niqe(gray, np.zeros(36), np.eye(36), window)
    n = len(rows) // 2
    features = np.concatenate([rows[:n], rows[n:]], axis=1)  # by column of patches
    mean = features.mean(0) + rng.normal(size=36) * 0.3 * features.std(0)
    variance = (0.7 * features.std(0)) ** 2
    score = niqe.niqe(gray, mean, np.diag(variance), window)
    found = {"score": score, "mean": mean.tolist(), "variance": variance.tolist(), "features": features.tolist()}
    (HERE / "reference.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
