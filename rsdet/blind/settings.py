"""Everything that can be set in HAC-MoE, with its checks; names and defaults are those of ``hac-moe.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from rsdet.blind.features import FEATURES, check_clip_weights
from rsdet.data.degrade.blind import PADS
from rsdet.data.degrade.kernels import ALIGN, AXES, kernel_size
from rsdet.errors import ConfigError, nearest

OUTPUTS = ("last", "best", "ema")
_CHOICES = {"feature": FEATURES, "align": ALIGN, "axes": AXES, "pad": PADS, "output": OUTPUTS}
# Smallest and largest value of all numbers; what is missing here is a word, a truth value or a path.
_RANGES = {
    "upscale": (2, 4), "iters": (1, 100_000), "inner": (1, 1000), "warmup": (0, 100_000), "samples": (0, 1000),
    "image_lr": (1e-6, 1), "kernel_lr": (1e-8, 1), "theta_h": (0, 1e3), "prior": (0, 1e3), "ssim_steps": (0, 10**7),
    "alpha_min": (0, 1), "alpha_max": (0, 1), "loss_min": (0, 1), "loss_max": (0, 1), "stop_factor": (0, 100),
    "noise_sigma": (0, 1), "time_limit": (0, 1e7), "channels": (4, 1024), "skip": (1, 1024), "experts": (0, 64),
    "non_local_from": (1, 6), "kernel_px": (0, 99), "kernel_inputs": (1, 10_000), "kernel_hidden": (1, 100_000),
    "tau": (-1, 1), "s_max": (-1, 1), "s_min": (-1, 1), "queue": (1, 1000), "tries": (1, 1000),
    "tile_px": (32, 100_000), "overlap_px": (0, 1000),
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Settings of one fit; the YAML says what each means."""

    upscale: int = 4
    iters: int = 120
    inner: int = 5
    warmup: int = 200
    samples: int = 5
    image_lr: float = 5e-3
    kernel_lr: float = 1e-4
    feature: str = "pyramid"
    clip_weights: str | None = None
    clip_model: str = "ViT-B-32"
    theta_h: float = 1e-3
    alpha_min: float = 0.8
    alpha_max: float = 0.99
    loss_min: float = 1e-6
    loss_max: float = 1e-2
    ssim_steps: int = 0
    prior: float = 2e-4
    stop_factor: float = 1.1
    noise_sigma: float = 0.0
    time_limit: float = 0.0
    output: str = "last"
    channels: int = 128
    skip: int = 16
    experts: int = 4
    non_local_from: int = 3
    kernel_px: int = 0
    kernel_inputs: int = 200
    kernel_hidden: int = 1000
    align: str = "center"
    axes: str = "variance"
    wide: bool = False
    pad: str = "replicate"
    cks: bool = True
    tau: float = 0.80
    s_max: float = 0.97
    s_min: float = 0.55
    queue: int = 16
    tries: int = 20
    tile_px: int = 256
    overlap_px: int = 16

    def __post_init__(self) -> None:
        for field in fields(self):
            self._check(field.name, getattr(self, field.name), field.default)
        if self.kernel_px and (self.kernel_px % 2 == 0 or self.kernel_px <= self.upscale):
            raise ConfigError(
                f"kernel_px={self.kernel_px} must be odd and above upscale={self.upscale}, or 0 for 4 s + 3"
            )
        for low, high in (("alpha_min", "alpha_max"), ("loss_min", "loss_max")):
            if not getattr(self, low) < getattr(self, high):
                raise ConfigError(f"{low}={getattr(self, low)} must be below {high}={getattr(self, high)}; mend them")
        if self.overlap_px * 2 >= self.tile_px:
            raise ConfigError(f"overlap_px={self.overlap_px} must be below half of tile_px={self.tile_px}; make it 16")
        if self.feature == "clip":
            check_clip_weights(self.clip_weights)

    @staticmethod
    def _check(name: str, value: Any, default: Any) -> None:
        if name in _CHOICES and value not in _CHOICES[name]:
            known = _CHOICES[name]
            raise ConfigError(
                f"{name} must be one of {', '.join(known)}, received {value!r}.{nearest(str(value), known)}"
            )
        if name in _RANGES:
            low, high = _RANGES[name]
            whole = isinstance(default, int)
            fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
            if not fits or not low <= value <= high:
                kind = "a whole number" if whole else "a number"
                raise ConfigError(f"{name} must be {kind} from {low:g} to {high:g}, received {value!r}; use {default}")
        if name.startswith("clip_") and not isinstance(value, (str, type(default))):
            raise ConfigError(f"{name} must be a name or a path, received {value!r}")
        if isinstance(default, bool) and not isinstance(value, bool):
            raise ConfigError(f"{name} must be true or false, received {value!r}")

    @property
    def kernel_side(self) -> int:
        """Side of the kernel in HR pixels."""
        return self.kernel_px or kernel_size(self.upscale)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Settings:
        """Settings from names and values.

        Raises:
            ConfigError: An unknown name, or a value that does not fit.
        """
        known = [f.name for f in fields(cls)]
        for name in values:
            if name not in known:
                raise ConfigError(f"HAC-MoE has no setting {name!r}.{nearest(name, known)}")
        return cls(**values)
