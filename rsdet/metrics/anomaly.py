"""How well scores tell anomalies from background: areas under the three curves of a 3-D ROC (Chang, IEEE TGRS 2021).

With scores brought to [0, 1] by their extremes, P_D(t) and P_F(t) are the shares of anomalous and of background pixels
whose score is t or more. The curves are P_D over P_F, and both over t.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rsdet.errors import DataError
from rsdet.figures import new_figure, png_of

_LEAST = 1e-5  # share of the background at which a logarithmic axis ends


@dataclass(frozen=True)
class AnomalyScores:
    """Areas of one method on one scene, or their means over several.

    Attributes:
        auc_df: Area of P_D over P_F, the usual AUC; ties count half.
        auc_dt: Area of P_D over t, the mean normalised score of anomalies.
        auc_ft: Area of P_F over t, that of the background; the lower the better.
    """

    auc_df: float
    auc_dt: float
    auc_ft: float

    @property
    def derived(self) -> dict[str, float]:
        """The combinations that are reported: TD, BS, TDBS, ODP, OD, SNPR and SNPR in dB."""
        d, t, f = self.auc_df, self.auc_dt, self.auc_ft
        ratio = t / f if f > 0 else math.inf if t > 0 else math.nan
        return {
            "TD": d + t, "BS": d - f, "TDBS": t - f, "ODP": t + 1 - f, "OD": d + t - f, "SNPR": ratio,
            "SNPR_dB": 10 * math.log10(ratio) if 0 < ratio < math.inf else ratio if ratio else -math.inf,
        }  # fmt: skip

    @property
    def all(self) -> dict[str, float]:
        """Every measure by name."""
        return {"AUC(D,F)": self.auc_df, "AUC(D,t)": self.auc_dt, "AUC(F,t)": self.auc_ft, **self.derived}


def _apart(score: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normalised scores of anomalies and of background, sorted."""
    score, truth = np.asarray(score, np.float64), np.asarray(truth)
    if score.shape != truth.shape:
        raise DataError(f"scores of {score.shape} and a map of {truth.shape}; both must be of one size.")
    known = np.isfinite(score) & (truth >= 0)
    score, truth = score[known], truth[known] > 0
    if not truth.any() or truth.all():
        raise DataError("the map needs anomalies and background among the pixels that have a score.")
    span = np.ptp(score)
    x = (score - score.min()) / (span or 1.0)
    return np.sort(x[truth]), np.sort(x[~truth])


def anomaly_scores(score: np.ndarray, truth: np.ndarray) -> AnomalyScores:
    """Measure a map of scores.

    Args:
        score: (H, W), higher where it is more anomalous; NaN is left out.
        truth: (H, W), 1 for anomalies, 0 for background, below 0 for what is not known.

    Raises:
        DataError: Another size, or no anomalies or no background.
    """
    anomalies, background = _apart(score, truth)
    below, upto = (np.searchsorted(background, anomalies, side=side) for side in ("left", "right"))
    area = float((below + upto).sum() / 2 / (len(anomalies) * len(background)))
    return AnomalyScores(area, float(anomalies.mean()), float(background.mean()))


def roc_curve(score: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The curve in three dimensions.

    Returns:
        (N,) thresholds t from above 1 down to 0, and the shares P_F and P_D of scores of t or more.
    """
    anomalies, background = _apart(score, truth)
    t = np.unique(np.concatenate([anomalies, background]))[::-1]
    t = np.concatenate([[np.nextafter(1, 2)], t])
    shares = [1 - np.searchsorted(x, t, side="left") / len(x) for x in (background, anomalies)]
    return t, shares[0], shares[1]


def plot_roc(curves: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]], title: str) -> bytes:
    """Draw 3-D ROC curves and their three projections.

    Args:
        curves: What :func:`roc_curve` gave, by method.
        title: Above them.

    Returns:
        A PNG.
    """
    figure, axes = new_figure(12, 9)
    axes.remove()
    figure.suptitle(title)
    space = figure.add_subplot(2, 2, 1, projection="3d")
    flat = [figure.add_subplot(2, 2, i) for i in (2, 3, 4)]
    for name, (t, f, d) in curves.items():
        log_f = np.log10(np.maximum(f, _LEAST))
        (line,) = space.plot(log_f, t, d, label=name, lw=1.2)
        for axes, (x, y) in zip(flat, ((log_f, d), (t, d), (t, f)), strict=True):
            axes.plot(x, y, label=name, lw=1.2, color=line.get_color())
    space.set(xlabel="log10 P_F", ylabel="t", zlabel="P_D")
    for axes, (x, y) in zip(flat, (("log10 P_F", "P_D"), ("t", "P_D"), ("t", "P_F")), strict=True):
        axes.set(xlabel=x, ylabel=y)
        axes.grid(alpha=0.3)
    flat[0].legend(loc="upper left", fontsize=8)
    return png_of(figure)
