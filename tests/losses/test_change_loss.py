"""The loss of change networks by loops; pixels that nobody knows count for nothing."""

import math

import numpy as np
import pytest
import torch

from rsdet.errors import ConfigError
from rsdet.losses.change import ChangeLoss


def by_loops(logits, target, dice):
    bce, n, groups = 0.0, 0, {}
    for b, i, j in np.ndindex(target.shape):
        if target[b, i, j] == 255:
            continue
        p, y = 1 / (1 + math.exp(-logits[b, 0, i, j])), float(target[b, i, j])
        bce, n = bce - (y * math.log(p) + (1 - y) * math.log(1 - p)), n + 1
        sums = groups.setdefault(b if dice == "sample" else 0, [0.0, 0.0, 0.0])
        for k, v in enumerate((p * y, p * p, y * y)):
            sums[k] += v
    each = [1 - 2 * py / (pp + yy + 1e-6) for py, pp, yy in groups.values()]
    return bce / max(n, 1), sum(each) / max(len(each), 1)


@pytest.mark.parametrize("dice", ["sample", "batch"])
def test_both_terms_by_loops(dice):
    rng = np.random.default_rng(0)
    logits, target = rng.normal(0, 2, (3, 1, 5, 6)), rng.choice([0, 1, 255], (3, 5, 6))
    target[2] = 255
    total, parts = ChangeLoss(dice)(torch.tensor(logits), torch.tensor(target))
    bce, overlap = by_loops(logits, target, dice)
    assert float(parts["bce"]) == pytest.approx(bce, rel=1e-5)
    assert float(parts["dice"]) == pytest.approx(overlap, rel=1e-5)
    assert float(total) == pytest.approx(bce + overlap, rel=1e-5)


def test_nothing_is_learnt_from_what_nobody_knows():
    logits = torch.randn(2, 1, 4, 4, requires_grad=True)
    target = torch.full((2, 4, 4), 255)
    total, _ = ChangeLoss()(logits, target)
    total.backward()
    assert float(total) == 0
    assert (logits.grad == 0).all()
    target[0, 1, 2] = 1
    total, _ = ChangeLoss()(logits, target)
    logits.grad = None
    total.backward()
    assert (logits.grad != 0).nonzero().tolist() == [[0, 0, 1, 2]]


def test_a_perfect_map_costs_nothing():
    target = torch.tensor([[[0, 1], [1, 0]]])
    total, _ = ChangeLoss()(40.0 * (2 * target[:, None].float() - 1), target)
    assert float(total) == pytest.approx(0, abs=1e-5)


def test_words_that_it_does_not_know():
    with pytest.raises(ConfigError, match="sample, batch"):
        ChangeLoss("pixel")
