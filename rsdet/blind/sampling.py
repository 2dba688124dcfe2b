"""Contrastive kernel sampling (CKS): random kernels, less those that are unlike all others.

A candidate is compared with a queue of those taken before. It is taken when it is like them on the whole, but not a
repetition, and not too far from any (Eq. 6). Acceptance is J >= 0 of Eq. 6 as printed.

Source: Zhao et al., HAC-MoE, arXiv 2511.20045, Eq. 5 and 6. tau, s_max, s_min, the length of the queue and the moment
similarity f_s are not printed; they are chosen here such that about nine in ten candidates are taken and kernels unlike
the population become rarer (from 5 % to below 1 %) while most of the variety of widths and directions is kept.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from rsdet.data.degrade.kernels import gaussian_kernel, kernel_centre, kernel_size, random_kernel, variance_range

_C1, _C2 = 1e-4, 9e-4  # of SSIM, at range 1


class KernelStats:
    """What Eq. 5 needs of a kernel, worked out once."""

    def __init__(self, kernel: np.ndarray):
        k = np.asarray(kernel, np.float64)
        at = np.arange(k.shape[0])
        centred = k.ravel() - k.mean()
        self.unit = centred / max(np.linalg.norm(centred), 1e-12)
        peak = (k / k.max()).ravel()
        self.mean = peak.mean()
        self.deviation = peak - self.mean
        self.variance = (self.deviation**2).mean()
        x, y = at - k.sum(0) @ at, at - k.sum(1) @ at
        xy = y @ k @ x
        self.covariance = np.array([[k.sum(0) @ x**2, xy], [xy, k.sum(1) @ y**2]])
        self.size = np.linalg.norm(self.covariance)


def similarity(
    a: KernelStats | np.ndarray,
    b: KernelStats | np.ndarray,
    weights: tuple[float, float, float] = (0.5, 0.2, 0.3),
) -> float:
    """Similarity S of two kernels, Eq. 5: symmetric, at most 1, 1 for equal kernels.

    Args:
        a: (K, K) kernel of sum one, or its statistics.
        b: The same.
        weights: Of Pearson's correlation, of SSIM (one window over k / max k), and of the similarity of the second
            moments, 1 - |A - B| / (|A| + |B|) with Frobenius norms of the covariances.
    """
    a, b = (k if isinstance(k, KernelStats) else KernelStats(k) for k in (a, b))
    pearson = float(a.unit @ b.unit)
    covariance = float((a.deviation * b.deviation).mean())
    luminance = (2 * a.mean * b.mean + _C1) / (a.mean**2 + b.mean**2 + _C1)
    ssim = luminance * (2 * covariance + _C2) / (a.variance + b.variance + _C2)
    moments = 1 - float(np.linalg.norm(a.covariance - b.covariance)) / max(a.size + b.size, 1e-12)
    return weights[0] * pearson + weights[1] * ssim + weights[2] * moments


class KernelSampler:
    """Draws kernels for the kernel generator to learn from.

    Args:
        scale: Scale s.
        rng: Source of all randomness.
        size: Side K of the kernels.
        align: Where their centre of mass lies, see :mod:`rsdet.data.degrade.kernels`.
        axes: ``variance`` or ``std``, the same.
        wide: The wider range of MLMC.
        contrastive: False draws at random (the ablation "-CK").
        tau: Mean similarity to the queue that is wanted.
        s_max: Similarity to the nearest of the queue that counts as a repetition.
        s_min: Similarity to the farthest of the queue that counts as an outlier.
        queue: Length of the queue.
        tries: Candidates before the best of them is taken.
    """

    def __init__(
        self,
        scale: int,
        rng: np.random.Generator,
        *,
        size: int | None = None,
        align: str = "center",
        axes: str = "variance",
        wide: bool = False,
        contrastive: bool = True,
        tau: float = 0.80,
        s_max: float = 0.97,
        s_min: float = 0.55,
        queue: int = 16,
        tries: int = 20,
    ):
        self.scale, self.rng, self.size = scale, rng, size or kernel_size(scale)
        self.draw = {"size": self.size, "align": align, "axes": axes, "wide": wide}
        self.contrastive, self.tau, self.s_max, self.s_min, self.tries = contrastive, tau, s_max, s_min, tries
        middle = float(np.mean(variance_range(scale, axes, wide)))
        self.kernels: deque[np.ndarray] = deque(maxlen=queue)
        self._stats: deque[KernelStats] = deque(maxlen=queue)
        self._enter(gaussian_kernel(self.size, (middle, middle), 0.0, kernel_centre(self.size, scale, align)))
        self.drawn = self.taken = 0

    def _enter(self, kernel: np.ndarray) -> None:
        self.kernels.append(kernel)
        self._stats.append(KernelStats(kernel))

    def score(self, kernel: np.ndarray) -> float:
        """Acceptance J of Eq. 6 against the queue."""
        stats = KernelStats(kernel)
        s = [similarity(stats, other) for other in self._stats]
        return float(-abs(np.mean(s) - self.tau) - (max(s) - self.s_max) - (self.s_min - min(s)))

    def sample(self) -> np.ndarray:
        """(K, K) float32 kernel, non-negative, of sum one; it enters the queue."""
        best, best_score = None, -np.inf
        for _ in range(self.tries if self.contrastive else 1):
            kernel = random_kernel(self.scale, self.rng, **self.draw)
            self.drawn += 1
            score = self.score(kernel) if self.contrastive else 0.0
            if score > best_score:
                best, best_score = kernel, score
            if score >= 0:
                self.taken += 1
                break
        self._enter(best)
        return best

    def state_dict(self) -> dict[str, object]:
        """All that decides what comes next, for checkpoints."""
        return {"kernels": np.stack(self.kernels).tolist(), "rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on where :meth:`state_dict` was taken."""
        for kernel in np.asarray(state["kernels"], np.float32):
            self._enter(kernel)
        self.rng.bit_generator.state = state["rng"]
