"""PSNR, SSIM, NIQE and LPIPS of restored pictures, each beside the convention that it was measured by.

The same pictures give PSNR values that differ by decibels between papers: of RGB or of luminance, with or without a
border, before or after rounding to 8 bits; SSIM likewise. A :class:`Convention` names all of it, comes from the
``metrics:`` section of a data YAML, and is printed with every number.

PSNR and SSIM are computed in float64. The Gaussian windows are filtered by OpenCV; the tests hold both to
values of scikit-image. Releases of torchmetrics differ in whether the mirrored border counts, so it is not asked.

Source: Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, IEEE TIP 13(4), 2004
(SSIM, Eq. 13; 11 x 11 Gaussian window of standard deviation 1.5, C1 = 0.01^2, C2 = 0.03^2 for data in [0, 1]).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rsdet.errors import ConfigError, DataError, nearest
from rsdet.metrics.arrays import as_hwc

METRICS = ("psnr", "ssim", "niqe", "lpips")
BETTER_HIGH = {"psnr": True, "ssim": True, "niqe": False, "lpips": False}
PSNR_CAP_DB = 100.0  # of equal pictures in an average, which would else be infinite
_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2
_POOLED_PX = 256  # DehazeFormer: pictures are pooled to about this size before SSIM
_Y = np.array([65.481, 128.553, 24.966]) / 255  # ITU-R BT.601, 16 to 235 of 255


@dataclass(frozen=True)
class Convention:
    """How pictures are compared.

    Attributes:
        colour: ``rgb``: all channels, their mean error; ``y``: luminance of BT.601 (16 to 235 of 255), as in
            super-resolution papers.
        border: Pixels left out at each border.
        ssim: ``gaussian``: mean over windows inside the picture (scikit-image, MATLAB, BasicSR); ``ffa``: windows at
            the border see zeros beyond it (FFA-Net); ``pooled``: ``gaussian`` after average pooling by
            round(min(H, W) / 256) (DehazeFormer).
        bits: Both pictures are rounded to so many bits first, as if read from files; None compares as they are.
    """

    colour: str = "rgb"
    border: int = 0
    ssim: str = "gaussian"
    bits: int | None = None

    @classmethod
    def of(cls, section: dict[str, Any] | None = None, scale: int = 1) -> Convention:
        """From the ``metrics`` section of a data YAML.

        What it leaves out is that of the field: RGB and whole pictures for models that keep the size; Y, ``scale``
        pixels left out at the border and 8 bits for super-resolution. ``border: scale`` means the scale of the model.

        Raises:
            ConfigError: An unknown key or value.
        """
        usual = {"colour": "y", "border": scale, "bits": 8} if scale > 1 else {}
        given = usual | dict(section or {})
        for key in given:
            if key not in cls.__dataclass_fields__:
                known = ", ".join(cls.__dataclass_fields__)
                raise ConfigError(
                    f"metrics: unknown key {key!r}, expected {known}.{nearest(str(key), known.split(', '))}"
                )
        if given.get("border") == "scale":
            given["border"] = scale
        for key, good in (("colour", ("rgb", "y")), ("ssim", ("gaussian", "ffa", "pooled")), ("bits", (None, 8, 16))):
            if given.get(key, good[0]) not in good:
                known = ", ".join(map(str, good))
                raise ConfigError(f"metrics: {key} must be one of {known}, received {given[key]!r}")
        border = given.get("border", 0)
        if not isinstance(border, int) or isinstance(border, bool) or border < 0:
            raise ConfigError(f"metrics: border must be a number of pixels or 'scale', received {border!r}")
        return cls(**given)

    def describe(self) -> str:
        """Such as ``Y, border 4 px, 8 bits, SSIM gaussian``."""
        border = f"border {self.border} px" if self.border else "whole picture"
        bits = "" if self.bits is None else f", {self.bits} bits"
        return f"{self.colour.upper()}, {border}{bits}, SSIM {self.ssim}"

    def prepare(self, image: Any) -> np.ndarray:
        """What is compared of a picture: (H, W, C) or a tensor (C, H, W) to (h, w, c) float64 in [0, 1].

        Raises:
            DataError: No picture, or nothing is left inside the border.
        """
        x = as_hwc(image)
        if self.bits is not None:
            x = np.rint(np.clip(x, 0, 1) * (2**self.bits - 1)) / (2**self.bits - 1)
        b = self.border
        if 2 * b >= min(x.shape[:2]):
            raise DataError(f"a picture of {x.shape[1]}x{x.shape[0]} px has nothing inside a border of {b} px")
        x = x[b : x.shape[0] - b, b : x.shape[1] - b]
        return x @ _Y[:, None] + 16 / 255 if self.colour == "y" and x.shape[2] == 3 else x


def _both(output: Any, target: Any, convention: Convention | None) -> tuple[np.ndarray, np.ndarray]:
    a, b = as_hwc(output), as_hwc(target)
    if a.shape != b.shape:
        raise DataError(f"pictures of one size are compared, received {a.shape} and {b.shape} (H, W, C)")
    convention = convention or Convention()
    return convention.prepare(a), convention.prepare(b)


def psnr(output: Any, target: Any, convention: Convention | None = None) -> float:
    """Peak signal-to-noise ratio in dB, peak 1: -10 log10 of the mean squared error. Infinite for equal pictures."""
    a, b = _both(output, target, convention)
    mse = float(np.mean((a - b) ** 2))
    return -10 * math.log10(mse) if mse > 0 else math.inf


def ssim(output: Any, target: Any, convention: Convention | None = None) -> float:
    """Structural similarity, at most 1, mean over windows and channels. Equal pictures have 1, black ones too.

    Raises:
        DataError: The picture (inside the border) is smaller than the window of 11 pixels.
    """
    import cv2

    a, b = _both(output, target, convention)
    kind = (convention or Convention()).ssim
    if kind == "pooled":
        ratio = max(1, round(min(a.shape[:2]) / _POOLED_PX))
        a, b = _pooled(a, ratio), _pooled(b, ratio)
    if min(a.shape[:2]) < _SSIM_WINDOW:
        raise DataError(f"SSIM needs {_SSIM_WINDOW} pixels along each side, received {a.shape[1]}x{a.shape[0]}")
    kernel = cv2.getGaussianKernel(_SSIM_WINDOW, _SSIM_SIGMA, cv2.CV_64F)

    def smooth(x: np.ndarray) -> np.ndarray:
        return np.atleast_3d(cv2.sepFilter2D(x, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_CONSTANT))

    mean_a, mean_b = smooth(a), smooth(b)
    var_a, var_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
    cov = smooth(a * b) - mean_a * mean_b
    similarity = ((2 * mean_a * mean_b + _C1) * (2 * cov + _C2)) / (
        (mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2)
    )
    if kind != "ffa":
        half = _SSIM_WINDOW // 2
        similarity = similarity[half : similarity.shape[0] - half, half : similarity.shape[1] - half]
    return float(similarity.mean())


def _pooled(x: np.ndarray, ratio: int) -> np.ndarray:
    """Average pooling to floor(H / ratio), floor(W / ratio), over cells that may overlap by a pixel (adaptive)."""
    if ratio == 1:
        return x
    for axis in (0, 1):
        n_in, n = x.shape[axis], x.shape[axis] // ratio
        start, end = np.arange(n) * n_in // n, -(-(np.arange(n) + 1) * n_in // n)
        sums = np.concatenate([np.zeros_like(x.take([0], axis)), np.cumsum(x, axis)], axis)
        count = (end - start).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        x = (sums.take(end, axis) - sums.take(start, axis)) / count
    return x


def niqe(image: Any, model: Any) -> float:
    """Naturalness (lower is better) without a target; see :mod:`rsdet.metrics.niqe`."""
    from rsdet.metrics.niqe import niqe as measure

    return measure(image, model)


def lpips(output: Any, target: Any) -> float:
    """Perceptual distance by AlexNet (lower is better); see :mod:`rsdet.metrics.perceptual`."""
    from rsdet.metrics.perceptual import lpips as measure

    return measure(output, target)


@dataclass
class QualityMeter:
    """Averages over the pictures of a split, one row per picture.

    Attributes:
        convention: How pictures are compared.
        metrics: Which of :data:`METRICS`.
        niqe_model: For ``niqe``: a :class:`rsdet.metrics.niqe.NiqeModel`.
        rows: One dictionary per picture: ``name`` and the metrics. NIQE of a picture without texture is None.
    """

    convention: Convention = field(default_factory=Convention)
    metrics: tuple[str, ...] = ("psnr", "ssim")
    niqe_model: Any = None
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self):
        for name in self.metrics:
            if name not in METRICS:
                raise ConfigError(
                    f"metrics must be of {', '.join(METRICS)}, received {name!r}.{nearest(name, METRICS)}"
                )
        if "niqe" in self.metrics and self.niqe_model is None:
            raise ConfigError("niqe needs a model of undisturbed pictures; fit one to clear pictures or load one")

    def update(self, output: Any, target: Any, name: str = "") -> dict[str, Any]:
        """Measure one picture; returns its row.

        Args:
            output: (H, W, C) array or (C, H, W) tensor, in [0, 1].
            target: Likewise, of the same size.
            name: Of the picture, for the table.
        """
        row: dict[str, Any] = {"name": name}
        if "psnr" in self.metrics:
            row["psnr"] = psnr(output, target, self.convention)
        if "ssim" in self.metrics:
            row["ssim"] = ssim(output, target, self.convention)
        if "niqe" in self.metrics:
            from rsdet.metrics.niqe import NoTextureError

            try:
                row["niqe"] = niqe(output, self.niqe_model)
            except NoTextureError:
                row["niqe"] = None  # said by `summary` in the count
        if "lpips" in self.metrics:
            row["lpips"] = lpips(output, target)
        self.rows.append(row)
        return row

    def summary(self) -> dict[str, float | int]:
        """Mean of each metric over the pictures, ``images``, and ``niqe_images`` where NIQE left some out.

        PSNR is the mean of the pictures' values in dB, equal pictures counted as 100 dB.
        """
        out: dict[str, float | int] = {"images": len(self.rows)}
        for name in self.metrics:
            values = [row[name] for row in self.rows if row[name] is not None]
            values = [min(v, PSNR_CAP_DB) for v in values] if name == "psnr" else values
            out[name] = float(np.mean(values)) if values else 0.0
            if len(values) < len(self.rows):
                out[f"{name}_images"] = len(values)
        return out

    def describe(self) -> str:
        """The convention, and the model of NIQE where it is used."""
        told = self.convention.describe()
        return f"{told}; NIQE model: {self.niqe_model.source}" if "niqe" in self.metrics else told
