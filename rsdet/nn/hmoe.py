"""DR-HMoE: upsampling by a mixture of convolutions, one of which is chosen for each pixel (MFG-HMoE, section II-C).

"Heterogeneous Mixture of Experts for Remote Sensing Image Super-Resolution" (Chen et al., IEEE GRSL 2025). Groups of
experts differ in their kernel (1x1, 3x3), experts of a group only in their weights. For the vector ``g`` of a pixel::

    p = softmax(W_g g)                              over groups, i* = argmax p          (5)
    q = softmax(W_i* (g + PE_i*))                   over the experts of i*              (6)
    y = sum over the K largest q_j of q_j E_j(f)    E_j = PixelShuffle(Conv(f))     (4, 7)

The paper's equation (7) gives the group router no gradient, and in the authors' released code, which multiplies by a
one-hot mask, no router learns at all. Hence ``gate``, the factor on the chosen experts:

=========  =================================  ========================================================
gate       factor, with K = 1                 who learns
=========  =================================  ========================================================
``ste``    1                                  both routers, by the gradient of ``p_i* q_j*`` (straight-through)
``hard``   1                                  no router: routing stays as it was initialised (released code)
``paper``  ``q_j*``                           the router of experts (equation 7)
``joint``  ``p_i* q_j*``                      both
``random`` 1                                  no router: a fixed pattern of experts, blind to the image; a control
=========  =================================  ========================================================

With K > 1 a factor of 1 becomes ``q_j`` divided by the sum over the K chosen ones.

``dispatch``: ``sparse`` gathers the pixels of each expert and computes no other, about 1/16 of the work for sixteen
experts, in training as well; ``dense`` runs every expert on the whole map and masks, the reference, and the only form
that exports, because its shapes do not depend on the data. ``auto`` is sparse where nothing is being traced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from rsdet.errors import ConfigError, nearest
from rsdet.nn.constants import constant
from rsdet.nn.precision import full_precision

__all__ = ["DISPATCH", "GATES", "DRHMoE", "DualRouter", "Routing", "balance_loss"]

GATES = ("ste", "hard", "paper", "joint", "random")
DISPATCH = ("auto", "sparse", "dense")
PATTERN_PX = 64  # side of the fixed pattern of gate="random"


@dataclass
class Routing:
    """Where each pixel goes.

    Attributes:
        group: (B, H, W) index of the chosen group.
        expert: (B, H, W, K) chosen experts, numbered through all groups, best first.
        weight: (B, H, W, K) factors of their outputs, float32.
        p: (B, H, W, N) probability of each group.
        q: (B, H, W, M) probability of each expert within the chosen group; 0 beyond the size of the group.
    """

    group: torch.Tensor
    expert: torch.Tensor
    weight: torch.Tensor
    p: torch.Tensor
    q: torch.Tensor


class DualRouter(nn.Module):
    """The two routers, equations (5) and (6). They compute in float32, also under autocast and in half precision.

    Args:
        c: Channels of the guide.
        experts: Number of experts of each group.
        k: Experts per pixel, K.
        gate: Factor on the chosen experts, one of :data:`GATES`.
    """

    def __init__(self, c: int, experts: Sequence[int], k: int = 1, gate: str = "ste"):
        super().__init__()
        self.sizes, self.k, self.gate = tuple(experts), k, gate
        self.to_group = nn.Linear(c, len(experts))
        self.to_expert = nn.ModuleList(nn.Linear(c, m) for m in experts)
        self.position = nn.Parameter(torch.empty(len(experts), c))  # PE, one learnt vector per group
        # Small: normal with 1, the usual start of an embedding, sends nearly all pixels of a group to one expert.
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, guide: torch.Tensor) -> Routing:
        """Route by a guide (B, C, H, W)."""
        wide = torch.promote_types(guide.dtype, torch.float32)
        g = guide.permute(0, 2, 3, 1).to(wide)
        with full_precision(g.device):
            return self._route(g)

    def _route(self, g: torch.Tensor) -> Routing:
        p = _linear(self.to_group, g).softmax(-1)
        group = p.argmax(-1)  # the first of equals
        most = max(self.sizes)
        q = []
        for i, layer in enumerate(self.to_expert):
            s = _linear(layer, g + self.position[i].to(g.dtype)).softmax(-1)
            q.append(F.pad(s, (0, most - self.sizes[i])) if self.sizes[i] < most else s)
        chosen = torch.stack(q, -2)  # (B, H, W, N, M)
        index = group[..., None, None].expand(-1, -1, -1, 1, most)
        q = chosen.gather(-2, index).squeeze(-2)
        best = _largest(q.detach(), self.k)
        if self.gate == "random":
            group, best = self._pattern(group, best)
        q_best = q.gather(-1, best)
        weight = q_best / q_best.sum(-1, keepdim=True) if self.gate != "random" else torch.ones_like(q_best) / self.k
        joint = p.gather(-1, group[..., None]) * q_best
        if self.gate == "paper":
            weight = q_best
        elif self.gate == "joint":
            weight = joint
        else:
            weight = weight.detach()
            if self.gate == "ste" and self.training:
                weight = weight + (joint - joint.detach())
        first = constant(("first", *self.sizes), lambda: np.cumsum((0, *self.sizes[:-1])), torch.int64, g.device)
        return Routing(group, first[group][..., None] + best, weight, p, q)

    def _pattern(self, group: torch.Tensor, best: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Groups and experts by place alone: a fixed random pattern, repeated over the map."""

        def make() -> np.ndarray:
            rng = np.random.default_rng(0)
            groups = rng.integers(0, len(self.sizes), (PATTERN_PX, PATTERN_PX))
            order = rng.random((PATTERN_PX, PATTERN_PX, max(self.sizes)))
            order[np.arange(max(self.sizes)) >= np.array(self.sizes)[groups][..., None]] = 2  # no such expert: last
            return np.concatenate([groups[..., None], order.argsort(-1)[..., : self.k]], -1)

        h, w = int(group.shape[1]), int(group.shape[2])
        drawn = constant(("random routes", self.sizes, self.k), make, torch.int64, group.device)
        drawn = drawn.repeat(-(-h // PATTERN_PX), -(-w // PATTERN_PX), 1)[:h, :w]
        return drawn[..., 0].expand_as(group), drawn[..., 1:].expand_as(best)


def _largest(q: torch.Tensor, k: int) -> torch.Tensor:
    """Indices of the k largest, best first, the lowest of equals first, which ``topk`` does not promise."""
    places, found = torch.arange(q.shape[-1], device=q.device), []
    for _ in range(k):
        found.append(q.argmax(-1, keepdim=True))
        q = q.masked_fill(places == found[-1], -1.0)
    return torch.cat(found, -1)


def _linear(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype))


def balance_loss(routing: Routing, sizes: Sequence[int]) -> torch.Tensor:
    """What keeps one expert from taking all pixels; 1 per level when pixels and probabilities are spread evenly.

    For each level, ``n sum_e share_e mean_prob_e`` over its n members (Switch Transformer, arXiv 2101.03961, equation
    4): groups over all pixels, then the experts of each group over the pixels of that group, weighted by their number.

    Args:
        routing: Routes of a batch, with gradients.
        sizes: Number of experts of each group.

    Returns:
        A scalar.
    """
    n, group = len(sizes), routing.group.flatten()
    p, q = routing.p.flatten(0, 2), routing.q.flatten(0, 2)
    local = q.argmax(-1)
    total = n * (F.one_hot(group, n).to(p.dtype).mean(0) * p.mean(0)).sum()
    for i, m in enumerate(sizes):
        here = (group == i).to(q.dtype)
        count = here.sum().clamp(min=1)
        share = (F.one_hot(local, q.shape[1]).to(q.dtype) * here[:, None]).sum(0) / count
        total = total + here.mean() * m * (share * (q * here[:, None]).sum(0) / count).sum()
    return total


class DRHMoE(nn.Module):
    """Upsampling by experts: features (B, C, H, W) and a guide of the same size to (B, C, s * H, s * W).

    Args:
        c: Channels of features, guide and output.
        upscale: s.
        kernels: Side of the kernel of each group, odd.
        experts: Number of experts of each group.
        k: Experts per pixel.
        gate: One of :data:`GATES`.
        dispatch: One of :data:`DISPATCH`.

    Raises:
        ConfigError: Arguments that contradict one another.
    """

    def __init__(
        self,
        c: int,
        upscale: int,
        kernels: Sequence[int] = (1, 3),
        experts: Sequence[int] = (8, 8),
        k: int = 1,
        gate: str = "ste",
        dispatch: str = "auto",
    ):
        super().__init__()
        _check(kernels, experts, k, gate, dispatch)
        self.upscale, self.kernels, self.sizes, self.dispatch = upscale, tuple(kernels), tuple(experts), dispatch
        self.router = DualRouter(c, experts, k, gate)
        out = c * upscale**2
        self.experts = nn.ModuleList(
            nn.Conv2d(c, out, s, padding=s // 2) for s, m in zip(kernels, experts, strict=True) for _ in range(m)
        )
        self.counts: torch.Tensor | None = None
        self.balance: torch.Tensor | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without what a training step left behind: it belongs to a graph, which cannot be copied or stored."""
        return {**self.__dict__, "counts": None, "balance": None}

    def forward(self, f: torch.Tensor, guide: torch.Tensor) -> torch.Tensor:
        """Enlarge ``f``, routed by ``guide``."""
        r = self.router(guide)
        if self.training:
            self._note(r)
        y = self._sparse(f, r) if self._is_sparse() else self._dense(f, r)
        return F.pixel_shuffle(y, self.upscale)

    def _is_sparse(self) -> bool:
        # Dense too where something listens to the experts (a counter of operations, a calibration): the sparse form
        # takes their weights and never calls them.
        if self.dispatch != "auto":
            return self.dispatch == "sparse"
        return not _being_traced() and not any(e._forward_hooks or e._forward_pre_hooks for e in self.experts)

    def _dense(self, f: torch.Tensor, r: Routing) -> torch.Tensor:
        """Every expert everywhere. One after another, so that memory is that of one expert and not of all."""
        y = None
        for e, conv in enumerate(self.experts):
            mask = ((r.expert == e) * r.weight).sum(-1)[:, None]
            term = conv(f)
            term = term * mask.to(term.dtype)
            y = term if y is None else y + term
        return y

    def _sparse(self, f: torch.Tensor, r: Routing) -> torch.Tensor:
        """Each expert on its own pixels, put back where they belong."""
        b, _, h, w = f.shape
        k = r.expert.shape[-1]
        order = r.expert.flatten().argsort(stable=True)  # pixels and their choices, sorted by expert
        weighted = self.training or self.router.gate in ("paper", "joint") or k > 1
        weight = r.weight.flatten()[order, None] if weighted else None
        out, done = None, []
        for part, y in self._by_expert(f, r.expert.flatten(), order // k):
            y = y if weight is None else y * weight[part].to(y.dtype)
            if torch.is_grad_enabled():  # one copy for all: the gradient of sixteen would be sixteen whole maps
                done.append(y)
                continue
            out = y.new_empty(len(order), y.shape[1]) if out is None else out
            out.index_copy_(0, order[part], y)
        if done:
            y = torch.cat(done)
            out = torch.empty_like(y).index_copy(0, order, y)
        out = out.reshape(b * h * w, k, -1).sum(1) if k > 1 else out
        return out.reshape(b, h, w, -1).permute(0, 3, 1, 2)

    def _by_expert(
        self, f: torch.Tensor, expert: torch.Tensor, pixel: torch.Tensor
    ) -> Iterator[tuple[slice, torch.Tensor]]:
        """Outputs of one expert after another, and their places in ``pixel``, which is sorted by expert.

        A convolution of scattered pixels is a product of matrices: each pixel's neighbourhood is one row.
        """
        _, c, h, w = f.shape
        counts = torch.bincount(expert, minlength=len(self.experts)).tolist()
        reach = max(self.kernels) // 2
        padded = F.pad(f.permute(0, 2, 3, 1), (0, 0, reach, reach, reach, reach)).reshape(-1, c)
        row_px = w + 2 * reach
        centre = (pixel // (h * w) * (h + 2 * reach) + pixel // w % h + reach) * row_px + pixel % w + reach
        around = {}
        for side in set(self.kernels):
            d = torch.arange(-(side // 2), side // 2 + 1, device=f.device)
            around[side] = (d[:, None] * row_px + d[None]).flatten()
        start = 0
        for conv, n in zip(self.experts, counts, strict=True):
            if n:
                part = slice(start, start + n)
                at = (centre[part, None] + around[conv.kernel_size[0]]).flatten()
                rows = padded.index_select(0, at).reshape(n, -1)
                yield part, F.linear(rows, conv.weight.permute(0, 2, 3, 1).flatten(1), conv.bias)
            start += n

    def _note(self, r: Routing) -> None:
        """Keep the balance loss of this step, and count pixels per expert."""
        learns = self.router.gate in ("ste", "joint")
        self.balance = balance_loss(r, self.sizes) if learns else None
        counts = torch.bincount(r.expert.flatten(), minlength=len(self.experts))
        self.counts = counts if self.counts is None else self.counts + counts

    def usage(self, reset: bool = True) -> np.ndarray | None:
        """Share of pixels that went to each expert in training since the last reset; ``None`` before any step."""
        if self.counts is None:
            return None
        counts = self.counts.double().cpu().numpy()
        if reset:
            self.counts = None
        return counts / counts.sum()

    def usage_notes(self, reset: bool = True) -> list[str]:
        """Lines that warn of a collapsed routing: an expert with over 90 % of the pixels, a group with none."""
        shares = self.usage(reset)
        if shares is None:
            return []
        notes = [
            f"expert {e} takes {share:.0%} of all pixels; raise the weight of the balance loss"
            for e, share in enumerate(shares)
            if share > 0.9 and len(shares) > 1
        ]
        groups = np.split(shares, np.cumsum(self.sizes)[:-1])
        return notes + [
            f"group {i} ({side}x{side}) takes no pixel; raise the weight of the balance loss"
            for i, (g, side) in enumerate(zip(groups, self.kernels, strict=True))
            if g.sum() == 0
        ]


def _being_traced() -> bool:
    return torch.jit.is_tracing() or torch.onnx.is_in_onnx_export() or torch.compiler.is_compiling()


def _check(kernels: Sequence[int], experts: Sequence[int], k: int, gate: str, dispatch: str) -> None:
    if not isinstance(kernels, (list, tuple)) or not isinstance(experts, (list, tuple)):
        raise ConfigError(
            f"kernels={kernels!r} and experts={experts!r} must be lists, one number per group of experts."
        )
    if len(kernels) != len(experts) or not kernels:
        raise ConfigError(
            f"kernels={list(kernels)} and experts={list(experts)} must have one number per group; mend one."
        )
    if any(isinstance(s, bool) or not isinstance(s, int) or s < 1 or s % 2 == 0 for s in kernels):
        raise ConfigError(f"kernels={list(kernels)} must be odd numbers, such as [1, 3]; change them.")
    if any(isinstance(m, bool) or not isinstance(m, int) or m < 1 for m in experts):
        raise ConfigError(f"experts={list(experts)} must be positive numbers, such as [8, 8]; change them.")
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= min(experts):
        raise ConfigError(f"k={k!r} must be 1 to {min(experts)}, the size of the smallest group; change it.")
    for name, value, known in (("gate", gate, GATES), ("dispatch", dispatch, DISPATCH)):
        if value not in known:
            raise ConfigError(f"{name} must be one of {list(known)}, received {value!r}.{nearest(str(value), known)}")
