"""A layer against its definition: the same value and the same slope, whatever the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from references.plain import Weights
from torch import nn

from rsdet.nn.restoration import RestorationNetwork

STEP = 1e-8  # of the central difference; few kinks of a deep network lie that near, and float64 has digits left


def lively(module: nn.Module, seed: int = 0) -> nn.Module:
    """In float64 and eval mode, every weight and every statistic random, so that no start value hides a branch."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in [*module.named_parameters(), *module.named_buffers()]:
            if not p.is_floating_point():
                continue
            value = torch.randn(p.shape, generator=g, dtype=torch.float64)
            if name.endswith("running_var") or (name.endswith("weight") and p.ndim == 1):
                value = 0.5 + torch.rand(p.shape, generator=g, dtype=torch.float64)
            elif name.endswith("weight"):
                value /= p[0].numel() ** 0.5
            else:
                value *= 0.5
            p.data = value
    return module.double().eval()


def maps(*shapes: tuple[int, ...], seed: int = 1) -> list[torch.Tensor]:
    """Random maps in float64."""
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(s, generator=g, dtype=torch.float64) for s in shapes]


def weights_of(module: nn.Module, training: bool = False) -> Weights:
    """Copies of the state of a module; its batch norms have one epsilon."""
    eps = {m.eps for m in module.modules() if isinstance(m, nn.BatchNorm2d)} or {1e-5}
    assert len(eps) == 1
    arrays = {k: v.detach().numpy().copy() for k, v in module.state_dict().items() if v.is_floating_point()}
    return Weights(arrays, eps.pop(), training)


def assert_close(got: torch.Tensor, want: np.ndarray, what: object = "") -> None:
    """Equal up to the rounding of float64, relative to the largest value."""
    assert got.shape == want.shape, what
    worst, largest = float(np.abs(got.detach().numpy() - want).max()), float(np.abs(want).max())
    assert worst <= 1e-9 * largest, what


def assert_agrees(
    module: nn.Module,
    definition: Callable[..., np.ndarray],
    inputs: Sequence[torch.Tensor],
    call: Callable[..., torch.Tensor] | None = None,
    training: bool = False,
) -> None:
    """The module computes what the definition says, and so does its backward pass.

    The slope is that of one random sum of the outputs along one random direction of all weights and inputs, by autograd
    and by the definition's central difference.

    Args:
        module: In float64, as :func:`lively` leaves it.
        definition: Called with weights and one array per input.
        inputs: Maps.
        call: How the module is called with the inputs; one by one by default.
        training: In train mode.
    """
    module.train(training)
    weights = weights_of(module, training)
    leaves = [x.clone().requires_grad_() for x in inputs]
    module.zero_grad()
    got = (call or module)(*leaves)
    arrays = [x.numpy() for x in inputs]
    want = definition(weights, *arrays)
    assert_close(got, want)
    assert want.std() > 1e-3  # nothing vanished on the way

    rng = np.random.default_rng(2)
    seen = rng.standard_normal(want.shape)
    (got * torch.from_numpy(seen)).sum().backward()
    slopes = {k: p.grad for k, p in module.named_parameters()} | dict(enumerate(x.grad for x in leaves))
    values = {k: weights.arrays[k] for k, _ in module.named_parameters()} | dict(enumerate(arrays))
    ways = {k: rng.standard_normal(a.shape) for k, a in values.items()}
    terms = [float((g.numpy() * ways[k]).sum()) for k, g in slopes.items() if g is not None]

    def along(t: float) -> float:
        moved = {k: a + t * ways[k] for k, a in values.items()}
        at = Weights(
            {**weights.arrays, **{k: a for k, a in moved.items() if isinstance(k, str)}}, weights.eps, training
        )
        return float((definition(at, *(moved[i] for i in range(len(arrays)))) * seen).sum())

    difference = (along(STEP) - along(-STEP)) / (2 * STEP)
    assert abs(sum(terms) - difference) <= 1e-5 * sum(map(abs, terms)), (sum(terms), difference)
    module.eval()


def assert_folds(
    module: nn.Module,
    definition: Callable[..., np.ndarray],
    inputs: Sequence[torch.Tensor],
    call: Callable[..., torch.Tensor] | None = None,
) -> None:
    """After ``module.fuse()``, which works in place, it still computes what the definition says."""
    want = definition(weights_of(module), *(x.numpy() for x in inputs))
    module.fuse()
    with torch.no_grad():
        got = (call or module)(*inputs)
    assert_close(got, want)


def assert_restores(
    net: RestorationNetwork, definition: Callable[..., np.ndarray], size: tuple[int, int], training: bool = False
) -> None:
    """As :func:`assert_agrees` for ``restore``; then a smaller picture is reflected, cut, and clamped in eval mode."""
    x = maps((2, net.channels, *size))[0]
    assert_agrees(net, definition, [x], net.restore, training)
    if training:
        return
    h, w = (n - 3 if net.multiple > 3 else n for n in size)
    x = x[..., :h, :w]
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (0, size[0] - h), (0, size[1] - w)), mode="reflect")
    want = definition(weights_of(net), padded)[:, :, : h * net.scale, : w * net.scale]
    assert_close(net(x), np.clip(want, 0, 1))
    if not any(isinstance(m, nn.BatchNorm2d) for m in net.modules()):
        assert_close(net.train()(x), want)
        net.eval()
