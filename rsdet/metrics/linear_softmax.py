"""Softmax regression: the linear classifier of the baselines, fitted to its one minimum."""

from __future__ import annotations

import numpy as np

from rsdet.errors import DataError

_STEPS = 300
_LEVEL = 1e-6  # largest slope at which the minimum is reached


def fit_linear_softmax(features: np.ndarray, counts: np.ndarray, l2: float) -> np.ndarray:
    """Weights W that minimise the mean of -log softmax(x W) over all answers, plus l2 / 2 times their sum of squares.

    The bias is left out of the sum. The loss is convex and the weights begin at zero: nothing is drawn, and the same
    answers give the same weights.

    Args:
        features: (N, F).
        counts: (N, A) how often each answer was given for each row.
        l2: Above 0.

    Returns:
        (F + 1, A) float64, the bias last.

    Raises:
        DataError: Features that are not finite.
    """
    import torch

    x, given = (torch.from_numpy(np.array(v, np.float64)) for v in (features, counts))
    if not torch.isfinite(x).all():
        raise DataError("features of a baseline are NaN or infinite; look at the encodings of the images")
    weights = torch.zeros((x.shape[1] + 1, given.shape[1]), dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weights], max_iter=_STEPS, max_eval=4 * _STEPS, tolerance_grad=_LEVEL, tolerance_change=0, history_size=10,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def loss() -> torch.Tensor:
        solver.zero_grad()
        log_p = (x @ weights[:-1] + weights[-1]).log_softmax(1)
        value = -(given * log_p).sum() / given.sum() + l2 / 2 * weights[:-1].square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        solver.step(loss)
    return weights.detach().numpy()
