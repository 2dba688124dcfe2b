"""NIQE: how far the statistics of a picture lie from those of undisturbed pictures, without a target to compare with.

The score depends on the pictures that the model of the undisturbed was fitted to: the authors' 125 photographs of
everyday scenes give values that say little about a view from above. So rsdet ships no model: :meth:`NiqeModel.fit`
makes one of clear pictures of the user's own kind (the targets of a training split), :meth:`NiqeModel.load` takes the
parameters that the authors or BasicSR publish. Scores of different models must not stand in one column; the model is
named beside every score.

Source: Mittal, Soundararajan and Bovik, Making a "Completely Blind" Image Quality Analyzer, IEEE SPL 20(3), 2013;
generalised Gaussians fitted as in Lasmar, Stitou and Berthoumieu, ICIP 2009, by their moments.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.degrade.resize import imresize
from rsdet.errors import DataError
from rsdet.metrics.arrays import as_hwc
from rsdet.writing import replacing

PATCH_PX = 96
SHARPNESS = 0.75  # patches with at least this share of the sharpest patch's sharpness describe the undisturbed
FEATURES = 36
LEAST_PATCHES = 4 * FEATURES  # with hardly more patches than features the covariance is close to singular
_GRAY = np.array([0.2989, 0.5870, 0.1140])  # MATLAB's rgb2gray
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
_WINDOW, _SIGMA = 7, 7 / 6


class NoTextureError(DataError):
    """The picture has no texture that could be natural or not, such as an all-black one."""


@dataclass(frozen=True)
class NiqeModel:
    """Mean and covariance of the features of undisturbed pictures.

    Attributes:
        mean: (36,).
        cov: (36, 36).
        source: What it was fitted to, printed beside scores.
    """

    mean: np.ndarray
    cov: np.ndarray
    source: str

    @classmethod
    def fit(cls, images: Iterable[Any], source: str = "") -> NiqeModel:
        """Fit to clear pictures; only their sharp patches count.

        Args:
            images: (H, W, C) arrays or (C, H, W) tensors in [0, 1], at least 96 x 96.
            source: Name for what they are.

        Raises:
            DataError: Too few sharp patches: the covariance would mean nothing.
        """
        found, count = [], 0
        for image in images:
            rows, sharpness = features(image)
            keep = sharpness >= SHARPNESS * sharpness.max()
            found.append(rows[keep])
            count += 1
        rows = np.concatenate(found) if found else np.zeros((0, FEATURES))
        rows = rows[np.isfinite(rows).all(axis=1)]
        if len(rows) < LEAST_PATCHES:
            raise DataError(
                f"{count} pictures have {len(rows)} sharp patches of {PATCH_PX} px, a NIQE model needs at least "
                f"{LEAST_PATCHES}; give more or larger pictures"
            )
        return cls(rows.mean(axis=0), np.cov(rows, rowvar=False), source or f"{len(rows)} patches of {count} pictures")

    @classmethod
    def load(cls, path: str | Path) -> NiqeModel:
        """Read ``.npz``: what :meth:`save` wrote, or BasicSR's ``niqe_pris_params.npz``.

        Raises:
            DataError: No such file, or other content.
        """
        try:
            with np.load(path, allow_pickle=False) as f:
                mean = f["mean" if "mean" in f else "mu_pris_param"].astype(np.float64).reshape(-1)
                cov = f["cov" if "cov" in f else "cov_pris_param"].astype(np.float64)
                source = str(f["source"]) if "source" in f else Path(path).name
        except Exception as e:  # whatever a foreign file makes NumPy raise
            raise DataError(f"{path} is no NIQE model ({' '.join(str(e).split())[:80]}); expected .npz") from e
        if mean.shape != (FEATURES,) or cov.shape != (FEATURES, FEATURES):
            raise DataError(f"{path} is no NIQE model: shapes {mean.shape} and {cov.shape}, expected 36 features")
        return cls(mean, cov, source)

    def save(self, path: str | Path) -> None:
        """Write ``.npz``."""
        with replacing(Path(path).with_suffix(".npz")) as new:
            np.savez(new, mean=self.mean, cov=self.cov, source=self.source)


def niqe(image: Any, model: NiqeModel) -> float:
    """Distance of a picture's statistics from those of the model (Eq. 10); 0 is best.

    Args:
        image: (H, W, C) array or (C, H, W) tensor in [0, 1], at least 96 x 96.
        model: Of undisturbed pictures.

    Raises:
        NoTextureError: Every patch is flat.
        DataError: Smaller than a patch.
    """
    rows, _ = features(image)
    finite = rows[np.isfinite(rows).all(axis=1)]
    if not len(finite):
        raise NoTextureError("the picture has no texture to judge (all of one brightness); leave it out of NIQE")
    cov = np.cov(finite, rowvar=False) if len(finite) > 1 else np.zeros_like(model.cov)
    difference = model.mean - finite.mean(axis=0)
    return float(math.sqrt(max(difference @ np.linalg.pinv((model.cov + cov) / 2) @ difference, 0.0)))


def features(image: Any) -> tuple[np.ndarray, np.ndarray]:
    """Features of every patch, not a number for flat ones.

    Returns:
        (patches, 36): 18 of the picture and 18 of the picture at half its size; and (patches,) mean local deviation,
        the sharpness.
    """
    x = as_hwc(image)
    if min(x.shape[:2]) < PATCH_PX:
        raise DataError(f"NIQE needs {PATCH_PX} pixels along each side, received {x.shape[1]}x{x.shape[0]}")
    rows, columns = (n // PATCH_PX for n in x.shape[:2])
    gray = x @ _GRAY[:, None] if x.shape[2] == 3 else x[..., :1]
    gray = np.rint(gray[: rows * PATCH_PX, : columns * PATCH_PX, 0].clip(0, 1) * 255)
    found, sharpness = [], None
    for scale in (1, 2):
        if scale == 2:
            gray = imresize(gray[..., None], 0.5)[..., 0].astype(np.float64)
        normal, deviation = _normalised(gray)
        side = PATCH_PX // scale
        patches = _patches(normal, rows, columns, side)
        if sharpness is None:
            sharpness = _patches(deviation, rows, columns, side).mean(axis=(1, 2))
        found.append(np.stack([_describe(p) for p in patches]))
    return np.concatenate(found, axis=1), sharpness


def _patches(x: np.ndarray, rows: int, columns: int, side: int) -> np.ndarray:
    return x.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def _normalised(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brightness less its local mean, divided by its local deviation + 1 (Eq. 1); and the deviation."""
    import cv2

    kernel = cv2.getGaussianKernel(_WINDOW, _SIGMA, cv2.CV_64F)
    mean, square = (
        cv2.sepFilter2D(x, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_REPLICATE) for x in (gray, gray * gray)
    )
    deviation = np.sqrt(np.abs(square - mean**2))
    return (gray - mean) / (deviation + 1), deviation


def _describe(patch: np.ndarray) -> np.ndarray:
    """The 18 features of a patch (Eq. 4 and 7): shape and width of its values, and of products of neighbours."""
    shape, left, right = _fit(patch)
    out = [shape, (left + right) / 2]
    for shift in _SHIFTS:
        shape, left, right = _fit(patch * np.roll(patch, shift, axis=(0, 1)))
        mean = (right - left) * math.exp(math.lgamma(2 / shape) - math.lgamma(1 / shape)) if shape == shape else shape
        out += [shape, mean, left, right]
    return np.array(out)


@lru_cache(maxsize=1)
def _shapes() -> tuple[np.ndarray, np.ndarray]:
    """Shapes 0.2 to 10 and their ratio of moments Gamma(2/a)^2 / (Gamma(1/a) Gamma(3/a))."""
    shapes = np.arange(200, 10001) / 1000
    g = math.lgamma
    return shapes, np.array([math.exp(2 * g(2 / a) - g(1 / a) - g(3 / a)) for a in shapes])


def _fit(x: np.ndarray) -> tuple[float, float, float]:
    """Shape, left and right width of an asymmetric generalised Gaussian; not a number where x has but one sign."""
    negative, positive = x[x < 0], x[x > 0]
    if not negative.size or not positive.size:
        return math.nan, math.nan, math.nan
    left, right = math.sqrt(np.mean(negative**2)), math.sqrt(np.mean(positive**2))
    g = left / right
    ratio = np.mean(np.abs(x)) ** 2 / np.mean(x**2) * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
    shapes, known = _shapes()
    shape = float(shapes[np.argmin((known - ratio) ** 2)])
    width = math.exp(0.5 * (math.lgamma(1 / shape) - math.lgamma(3 / shape)))
    return shape, left * width, right * width
