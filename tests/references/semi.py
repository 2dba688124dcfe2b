"""Semi-supervised segmentation written out pixel by pixel: the losses of S5Mars, Mean Teacher, UniMatch; AugIN; EMA."""

from __future__ import annotations

import numpy as np
from references.plain import Array, sigmoid, softmax

IGNORE = 255


def two_logits(logits: Array) -> Array:
    """A single logit as probabilities of background and foreground, in logarithms."""
    if logits.shape[1] > 1:
        return logits
    p = sigmoid(logits)
    return np.log(np.concatenate([1 - p, p], 1))


def log_probs(logits: Array) -> Array:
    return np.log(softmax(two_logits(logits), 1))


def pixels(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    return list(np.ndindex(shape))


def supervised(logits: Array, labels: Array) -> float:
    log_p, total, count = log_probs(logits), 0.0, 0
    for b, i, j in pixels(labels.shape):
        if labels[b, i, j] != IGNORE:
            total, count = total - log_p[b, labels[b, i, j], i, j], count + 1
    return total / max(1, count)


def pseudo(teacher_logits: Array, labels: Array, valid: Array) -> list[Array]:
    """Probabilities, classes, confidences; a label makes its pixel's class and a confidence of 1. Known and valid."""
    p = np.exp(log_probs(teacher_logits))
    known = labels != IGNORE
    return [p, np.where(known, labels, p.argmax(1)), np.where(known, 1.0, p.max(1)), known, valid]


def hard(logits: Array, said: list[Array], t_hard: float) -> float:
    """Equation 3."""
    _, classes, conf, known, valid = said
    log_p, total = log_probs(logits), 0.0
    for b, i, j in pixels(classes.shape):
        if valid[b, i, j] and (known[b, i, j] or conf[b, i, j] > t_hard):
            total -= log_p[b, classes[b, i, j], i, j]
    return total / max(1, valid.sum())


def soft(logits: Array, said: list[Array], t_soft: float) -> float:
    """Equation 6 with the teacher's probabilities as the target."""
    p, classes, conf, known, valid = said
    log_p, total = log_probs(logits), 0.0
    for b, i, j in pixels(classes.shape):
        if valid[b, i, j] and not known[b, i, j] and conf[b, i, j] < t_soft:
            total -= float(p[b, :, i, j] @ log_p[b, :, i, j])
    return total / max(1, valid.sum())


def squared(logits: Array, said: list[Array]) -> float:
    p, valid = said[0], said[4]
    d = (np.exp(log_probs(logits)) - p) ** 2
    return float(sum(d[b, :, i, j].mean() for b, i, j in pixels(valid.shape) if valid[b, i, j]) / max(1, valid.sum()))


def masked_bce(s: Array, y: Array, valid: Array) -> float:
    """First term of Hybrid-SegUFormer's equation 5 over valid pixels; s and y (B, H, W)."""
    p = sigmoid(s)
    return float(-(np.where(y == 1, np.log(p), np.log(1 - p))[valid]).sum() / max(1, valid.sum()))


def masked_mse(s: Array, t: Array, valid: Array) -> float:
    """Second term, without its weight."""
    return float(((sigmoid(s) - sigmoid(t)) ** 2)[valid].sum() / max(1, valid.sum()))


def augin(x: Array, order: list[int], variant: str) -> Array:
    """Equation 5 and its two halves; sigma is the population's."""
    y = np.empty_like(x)
    for i, j in enumerate(order):
        for c in range(x.shape[1]):
            a, b = x[i, c], x[j, c]
            mean = a.mean() if variant == "sigma" else b.mean()
            ratio = 1.0 if variant == "mu" else b.std() / a.std()
            y[i, c] = (a - a.mean()) * ratio + mean
    return y


def momentum(step: int) -> float:
    return min(1 - 1 / (step + 1), 0.996)
