"""Heat conduction in a convolutional backbone: HCO, HeatBlock and VHeatC2f (VMC-DETR, section 3.2).

The paper starts from the solution of the heat equation in the plane, written with the Fourier transform F::

    u(x, y, t) = F^-1( f~(w_x, w_y) exp(-k (w_x^2 + w_y^2) t) )      (1)
    U^t        = F^-1( F(U^0) exp(-k (w_x^2 + w_y^2) t) )            (2)
    U^t        = IDCT_2D( DCT_2D(U^0) exp(-k (w_x^2 + w_y^2) t) )    (3)

Equation (3) is what is computed here: images are rectangles with insulated edges, so the cosine transform takes the
place of the Fourier transform. What the paper leaves open is resolved as follows:

- The frequencies are the eigenvalues of the Laplacian on an H x W rectangle,
  ``lambda[n, m] = (pi n / H)^2 + (pi m / W)^2``.
- The product ``k t`` is one learnt, non-negative number per channel and frequency, ``K = ReLU(Linear(FVE))``, as in
  the vHeat work that the paper builds on. FVE, the frequency value embedding, belongs to :class:`VHeatC2f`; its blocks
  share it.
- The operator is a low-pass filter per channel: its gain lies in (0, 1] and is 1 for the mean. Detail passes through
  the gate and the residual path.

Two matrices of N x N cosines per direction make the transform exact at any size; on a feature map they are faster than
an FFT and export as plain ``MatMul``. They are kept in a process-wide cache and never as buffers, because
checkpoints are stored in half precision: a basis that went through one would stay non-orthonormal by 4e-4 for good.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from ultralytics.nn.modules import Conv

from rsdet.nn.constants import constant
from rsdet.nn.precision import full_precision
from rsdet.registry import register

__all__ = ["HCO", "HeatBlock", "VHeatC2f", "dct_basis", "heat_conduct"]


def dct_basis(n: int, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> torch.Tensor:
    """Orthonormal DCT-II matrix ``D`` of shape (n, n): ``D @ u`` transforms, ``D.T @ s`` transforms back.

    ``D[j, i] = s_j cos(pi j (i + 1/2) / n)`` with ``s_0 = sqrt(1/n)`` and ``s_j = sqrt(2/n)``. It is built in float64
    and then rounded once.

    Args:
        n: Number of samples, at least 1.
        dtype: Floating dtype of the result.
        device: Device of the result.
    """

    def make() -> np.ndarray:
        j, i = np.arange(n)[:, None], np.arange(n)[None, :]
        d = np.cos(np.pi * j * (i + 0.5) / n) * np.sqrt(2.0 / n)
        d[0] = np.sqrt(1.0 / n)
        return d

    return constant(("basis", n), make, dtype, torch.device(device))


def _eigenvalues(h: int, w: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """``lambda`` of shape (h, w, 1)."""

    def make() -> np.ndarray:
        y, x = np.pi * np.arange(h) / h, np.pi * np.arange(w) / w
        return (y**2)[:, None, None] + (x**2)[None, :, None]

    return constant(("lambda", h, w), make, dtype, device)


def _traced_basis(n: torch.Tensor) -> torch.Tensor:
    """:func:`dct_basis` as graph operations (Range, Cos), for a size that is known only when the graph runs."""
    j = torch.arange(n, device=n.device)
    # The phase is reduced in integers first: in float32, cos loses digits with the size of its argument.
    phase = (j[:, None] * (2 * j[None, :] + 1)) % (4 * n)
    d = torch.cos(phase.float() * (np.pi / 2) / n.float()) * torch.sqrt(2.0 / n.float())
    return d * torch.where(j == 0, 0.5**0.5, 1.0).to(d.dtype)[:, None]


def _traced_eigenvalues(h: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    y, x = (np.pi * torch.arange(n, device=n.device).float() / n.float() for n in (h, w))
    return ((y * y)[:, None] + (x * x)[None, :])[..., None]


def heat_conduct(u: torch.Tensor, decay: torch.Tensor, d_h: torch.Tensor, d_w: torch.Tensor) -> torch.Tensor:
    """Equation (3) on channel-last maps: ``IDCT(DCT(u) * decay)``.

    Channel-last, both directions are matrix products of large matrices and nothing is permuted.

    Args:
        u: Maps (B, H, W, C).
        decay: ``exp(-lambda K)``, shape (H, W, C), values in (0, 1].
        d_h: :func:`dct_basis` of H.
        d_w: :func:`dct_basis` of W.

    Returns:
        Maps (B, H, W, C).
    """
    shape = (-1, *decay.shape)
    s = torch.matmul(d_w, torch.matmul(d_h, u.flatten(2)).reshape(shape)) * decay
    return torch.matmul(d_h.t(), torch.matmul(d_w.t(), s).flatten(2)).reshape(shape)


def _as_grid(x: torch.Tensor, h: int, w: int) -> torch.Tensor:
    """One vector per pixel (B, H * W, C) to (B, H, W, C); unlike ``unflatten``, it keeps traced sizes free."""
    return x.reshape(-1, h, w, x.shape[2])


class HCO(nn.Module):
    """Heat conduction operator (VMC-DETR section 3.2.2, equations 1-3), on maps (B, C, H, W) of any size.

    A depthwise 3x3 convolution and a linear layer give a map ``u`` and a gate ``z``. ``u`` is conducted by equation (3)
    with ``k t = K = ReLU(Linear(FVE))``, then ``y = Linear(LayerNorm(U^t) * SiLU(z))``.

    From the transform to the output layer everything is computed in float32 (float64 for float64 input), also under
    autocast: the first DCT coefficient is the mean times sqrt(HW), 64 times a typical value on a 64 x 64 map, and the
    gated product overflows half precision as well.

    Args:
        c: Channels of input and output.

    Attributes:
        dynamic: Set it to True before exporting a graph whose height and width stay free (rsdet's exporter sets it on
            every module that has the attribute). Otherwise a traced graph is fixed to the traced size, with basis and
            decay as constants. Without tracing it has no effect.
    """

    dynamic = False

    def __init__(self, c: int):
        super().__init__()
        self.dwconv = nn.Conv2d(c, c, 3, padding=1, groups=c)
        self.in_proj = nn.Linear(c, 2 * c)
        self.to_k = nn.Linear(c, c)
        self.norm = nn.LayerNorm(c, eps=1e-6)
        self.out_proj = nn.Linear(c, c)

    def forward(self, x: torch.Tensor, fve: torch.Tensor) -> torch.Tensor:
        """Conduct heat.

        Args:
            x: Maps (B, C, H, W).
            fve: Frequency value embedding (C, h, w); resized bilinearly where (h, w) is not (H, W).

        Returns:
            Maps (B, C, H, W), dtype of ``x``.
        """
        return _as_grid(self.tokens(x, fve), *x.shape[2:]).permute(0, 3, 1, 2)

    def tokens(self, x: torch.Tensor, fve: torch.Tensor) -> torch.Tensor:
        """As :meth:`forward`, with one vector per pixel, (B, H * W, C): the form that linear layers work in."""
        h, w = x.shape[2:]
        u, z = self._split(self.dwconv(x).permute(0, 2, 3, 1).flatten(1, 2))
        with full_precision(x.device):
            wide = torch.promote_types(x.dtype, torch.float32)
            decay, d_h, d_w = self._operator(fve, h, w, wide)
            u = heat_conduct(_as_grid(u.to(wide), h, w), decay, d_h, d_w).flatten(1, 2)
            y = self.norm(u.to(self.norm.weight.dtype)).to(wide) * F.silu(z.to(wide))
            y = self.out_proj(y.to(self.out_proj.weight.dtype))
        return y.to(x.dtype)

    def _split(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Map and gate. In a graph two smaller products are cheaper than a larger one whose result is cut."""
        if not torch.jit.is_tracing():
            return self.in_proj(x).chunk(2, -1)
        halves = zip(self.in_proj.weight.chunk(2), self.in_proj.bias.chunk(2), strict=True)
        return tuple(F.linear(x, w, b) for w, b in halves)

    def decay(self, fve: torch.Tensor, h: int, w: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Gain per frequency and channel, ``exp(-lambda K)``, shape (h, w, C), values in (0, 1].

        It is not ``pow(exp(-lambda), K)``: exp(-lambda) is below the half-precision range at the highest frequency.
        It is never cached, since the weights behind it change at every training step, and in the EMA copy too.
        """
        return torch.exp(-_eigenvalues(h, w, dtype, fve.device) * self._conductivity(fve, h, w, dtype))

    def _conductivity(self, fve: torch.Tensor, h: int, w: int, dtype: torch.dtype) -> torch.Tensor:
        if self._free_size() or tuple(fve.shape[1:]) != (h, w):
            fve = F.interpolate(fve[None].to(dtype), size=(h, w), mode="bilinear", align_corners=False)[0]
        # A copy, which the layer needs anyway: torch.utils.flop_counter cannot take a bare view of a parameter.
        fve = fve.permute(1, 2, 0).to(self.to_k.weight.dtype).contiguous()
        return F.relu(self.to_k(fve)).to(dtype)

    def _free_size(self) -> bool:
        return self.dynamic and torch.jit.is_tracing()

    def _operator(self, fve, h, w, dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Decay and the two bases: free-sized while tracing with ``dynamic``, constants otherwise."""
        if self._free_size():  # h and w are tensors of the graph
            k = self._conductivity(fve, h, w, dtype)
            decay = torch.exp(-_traced_eigenvalues(h, w).to(dtype) * k)
            return decay, _traced_basis(h).to(dtype), _traced_basis(w).to(dtype)
        h, w = int(h), int(w)
        decay = self.decay(fve, h, w, dtype)
        if torch.jit.is_tracing():  # the numbers alone enter the graph, without the layers that made them
            decay = torch.from_numpy(decay.detach().cpu().numpy()).to(fve.device)
        return decay, dct_basis(h, dtype, fve.device), dct_basis(w, dtype, fve.device)


class HeatBlock(nn.Module):
    """Post-norm residual block around :class:`HCO` (VMC-DETR section 3.2.1).

    ``x = x + LN(HCO(x))``, then ``x = x + LN(MLP(x))`` with ``MLP = Linear(C, rC), GELU, Linear(rC, C)`` per pixel.
    LayerNorm acts on the channels of a pixel.

    Args:
        c: Channels of input and output.
        mlp_ratio: r, width of the hidden layer relative to ``c``.
    """

    def __init__(self, c: int, mlp_ratio: float = 4.0):
        super().__init__()
        hidden = int(c * mlp_ratio)
        self.hco = HCO(c)
        self.norm1 = nn.LayerNorm(c, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(c, hidden), nn.GELU(), nn.Linear(hidden, c))
        self.norm2 = nn.LayerNorm(c, eps=1e-6)

    def forward(self, x: torch.Tensor, fve: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C, H, W); ``fve`` as in :meth:`HCO.forward`."""
        # One vector per pixel throughout: as maps with channels last, OpenVINO reorders them at every other step.
        (h, w), y = x.shape[2:], self.hco.tokens(x, fve)
        x = x.permute(0, 2, 3, 1).flatten(1, 2)
        x = x + self.norm1(y).to(x.dtype)
        x = x + self.norm2(self.mlp(x)).to(x.dtype)
        return _as_grid(x, h, w).permute(0, 3, 1, 2)


@register("VHeatC2f", like="C2f")
class VHeatC2f(nn.Module):
    """C2f whose bottlenecks are heat blocks (VMC-DETR section 3.2, figure 4b).

    A 1x1 convolution makes two halves; ``n`` heat blocks follow one another from the second; all ``2 + n`` maps are
    concatenated and mixed by a 1x1 convolution. It is not a subclass of the stock C2f, whose ``forward`` is
    exchanged on export.

    Args:
        c1: Input channels.
        c2: Output channels.
        n: Number of heat blocks.
        res: Size at which the frequency value embedding is learnt, ``h = w`` or ``(h, w)``: the size of the map at the
            usual input, that is imgsz/16 at P4 and imgsz/32 at P5. Other sizes work, it is resized then.
        e: Width of each half relative to ``c2``.
    """

    def __init__(self, c1: int, c2: int, n: int = 1, res: int | tuple[int, int] = 40, e: float = 0.5):
        super().__init__()
        self.c = int(c2 * e)
        h, w = (res, res) if isinstance(res, int) else res
        self.cv1 = Conv(c1, 2 * self.c, 1)
        self.cv2 = Conv((2 + n) * self.c, c2, 1)
        self.m = nn.ModuleList(HeatBlock(self.c) for _ in range(n))
        self.fve = nn.Parameter(torch.empty(self.c, h, w))
        nn.init.trunc_normal_(self.fve, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, c1, H, W) to (B, c2, H, W)."""
        y = list(self.cv1(x).chunk(2, 1))
        for block in self.m:
            y.append(block(y[-1], self.fve))
        return self.cv2(torch.cat(y, 1))
