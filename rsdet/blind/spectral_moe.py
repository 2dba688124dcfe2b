"""MA-MoE: a spectral filter mixed from K experts, as the content of the whole picture asks for.

    alpha = sigmoid(MLP(GAP(X)))  (2),   W = sum_k alpha_k E_k  (3),   Y = IFFT(W * FFT(X))  (4)

Each expert is a complex filter on a coarse grid of frequencies, enlarged to the size at hand, so that the parameters
do not depend on the size of the picture. The gates are sigmoids, not a softmax: they do not sum to one.

Source: Zhao et al., HAC-MoE, arXiv 2511.20045, Eq. 2 to 4. Shape and start of the experts are not printed. Here expert
k starts as 2 on the k-th of K rings of frequencies and 0 elsewhere, and all gates start at one half: the block is the
identity at first, and each expert has a band of its own.
"""

from __future__ import annotations

import torch
from torch import nn

GRID = (9, 5)  # frequencies along y, [-1/2, 1/2], and along x, [0, 1/2], both ends included


def radial_bands(experts: int, grid: tuple[int, int] = GRID) -> torch.Tensor:
    """(K, rows, columns) of zeros and ones: ring k holds the k-th share of the frequencies sorted by their radius."""
    fy = torch.linspace(-0.5, 0.5, grid[0])
    fx = torch.linspace(0, 0.5, grid[1])
    radius = (fy[:, None] ** 2 + fx[None] ** 2).sqrt()
    edges = torch.linspace(0, float(radius.max()) + 1e-6, experts + 1)
    ring = torch.bucketize(radius, edges[1:-1].contiguous(), right=True)
    return (ring[None] == torch.arange(experts)[:, None, None]).float()


def _between(places: torch.Tensor, nodes: int) -> torch.Tensor:
    """(n, nodes) weights of linear interpolation at places from 0, the first node, to ``nodes`` - 1, the last."""
    return (1 - (places[:, None] - torch.arange(nodes, device=places.device)).abs()).clamp(min=0)


class MAMoE(nn.Module):
    """Morphology-aware soft mixture of spectral experts: (B, C, H, W) to the same shape, any H and W.

    Args:
        channels: C.
        experts: Number of experts K.
    """

    def __init__(self, channels: int, experts: int = 4):
        super().__init__()
        hidden = max(channels // 4, 1)
        self.gate = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, experts))
        nn.init.zeros_(self.gate[2].weight)
        nn.init.zeros_(self.gate[2].bias)
        bands = 2 * radial_bands(experts)
        # Real and imaginary part as real numbers: optimizers and half-precision checkpoints take no complex ones.
        real = bands[:, None].expand(-1, channels, -1, -1)
        self.experts = nn.Parameter(torch.stack((real, torch.zeros_like(real)), dim=1))  # (K, 2, C, rows, columns)

    def gates(self, x: torch.Tensor) -> torch.Tensor:
        """(B, K) in (0, 1), Eq. 2."""
        return torch.sigmoid(self.gate(x.mean((2, 3))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Filter (B, C, H, W)."""
        height, width = x.shape[-2:]
        mixed = torch.einsum("bk,kpchw->bpchw", self.gates(x), self.experts)
        # At the very frequencies of the FFT, in its order: resizing the grid would shift zero and part f from -f.
        like = {"dtype": x.dtype, "device": x.device}
        fy, fx = torch.fft.fftfreq(height, **like), torch.fft.rfftfreq(width, **like)
        rows, columns = mixed.shape[-2:]
        along_y, along_x = _between((fy + 0.5) * (rows - 1), rows), _between(fx * 2 * (columns - 1), columns)
        wide = along_y @ mixed @ along_x.t()
        spectrum = torch.fft.rfft2(x, norm="ortho")
        return torch.fft.irfft2(spectrum * torch.complex(wide[:, 0], wide[:, 1]), s=(height, width), norm="ortho")
