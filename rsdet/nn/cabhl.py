"""CAB-HL (Remote Sens. 2025, 17(16), 2836): multi-kernel streams of cube and LiDAR that meet in attention."""

from __future__ import annotations

import torch
from torch import nn

from rsdet.errors import ConfigError
from rsdet.nn.landcover import LandCoverNetwork
from rsdet.nn.networks import check_counts, network

PATHS = ((7, 8), (5, 16), (3, 32))  # kernel and channels m of each path, which leaves it as 2 m
FUSIONS = ("attention", "concat", "none")


def _normalised(conv: nn.Module, channels: int) -> list[nn.Module]:
    norm = nn.BatchNorm3d if isinstance(conv, nn.Conv3d) else nn.BatchNorm2d
    return [conv, norm(channels), nn.ReLU(inplace=True)]


class MultiPath3d(nn.Module):
    """Three kernels side by side over a cube (N, C, K, p, p), Eq. 1 to 3: (N, out, K, p, p).

    The input is added to what comes out; of one channel, it is added to each.

    Args:
        c1: Channels in, 1 or ``c2``.
        c2: Channels out.
    """

    def __init__(self, c1: int, c2: int):
        super().__init__()
        self.paths = nn.ModuleList(
            nn.Sequential(
                *_normalised(nn.Conv3d(c1, m, k, padding=k // 2), m), *_normalised(nn.Conv3d(m, 2 * m, 1), 2 * m)
            )
            for k, m in PATHS
        )
        self.join = nn.Conv3d(sum(2 * m for _, m in PATHS), c2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, c1, K, p, p) to (N, c2, K, p, p)."""
        return self.join(torch.cat([path(x) for path in self.paths], 1)) + x


class MultiPathDepthwise(nn.Module):
    """The same in two dimensions with depthwise convolutions, Eq. 4 to 7: rasters (N, C, p, p) to (N, out, p, p).

    Args:
        c1: Channels in; where they are neither 1 nor ``c2``, a 1x1 convolution makes ``c2`` of them for the sum.
        c2: Channels out.
    """

    def __init__(self, c1: int, c2: int):
        super().__init__()
        self.paths = nn.ModuleList(
            nn.Sequential(
                *_normalised(nn.Conv2d(c1, m, k, padding=k // 2), m),
                nn.Conv2d(m, m, 3, padding=1, groups=m),
                *_normalised(nn.Conv2d(m, 2 * m, 1), 2 * m),
            )
            for k, m in PATHS
        )
        self.join = nn.Conv2d(sum(2 * m for _, m in PATHS), c2, 3, padding=1)
        self.same = nn.Identity() if c1 in (1, c2) else nn.Conv2d(c1, c2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, c1, p, p) to (N, c2, p, p)."""
        return self.join(torch.cat([path(x) for path in self.paths], 1)) + self.same(x)


class CrossAttention(nn.Module):
    """Tokens of the cube ask, those of the LiDAR answer, Eq. 11 to 15.

    Args:
        width: Channels of a token that asks.
        source: Channels of a token that answers.
        dim: Channels of queries, keys and values, over all heads.
        heads: Number of heads.
    """

    def __init__(self, width: int, source: int, dim: int = 64, heads: int = 4):
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.query = nn.Linear(width, dim, bias=False)
        self.key = nn.Linear(source, dim, bias=False)
        self.value = nn.Linear(source, dim, bias=False)
        self.out = nn.Linear(dim, width)

    def weights(self, asks: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        """Attention (N, heads, T, S) of tokens (N, T, width) to tokens (N, S, source); each row sums to 1."""
        q, k = self._split(self.query(asks)), self._split(self.key(answers))
        return (q @ k.transpose(2, 3) * self.scale).softmax(-1)

    def forward(self, asks: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        """What is added to the tokens that ask: (N, T, width)."""
        found = self.weights(asks, answers) @ self._split(self.value(answers))
        return self.out(found.transpose(1, 2).flatten(2))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class _Stage(nn.Module):
    """One stage: both streams, and the message from LiDAR to cube."""

    def __init__(self, first: bool, rasters: int, components: int, base: int, dim: int, heads: int, fusion: str):
        super().__init__()
        width = base * components
        self.hsi = MultiPath3d(1 if first else base, base)
        self.lidar = MultiPathDepthwise(rasters if first else base, base) if rasters and fusion != "none" else None
        self.attention = self.mix = None
        if fusion == "attention":
            self.attention = CrossAttention(width, base if rasters else width, dim, heads)
        elif fusion == "concat" and rasters:
            self.mix = nn.Linear(width + base, width)

    def forward(self, h: torch.Tensor, x: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Cube (N, C, K, p, p) and rasters (N, R, p, p) or None, of the stage before, to those of this one."""
        h = self.hsi(h)
        tokens = h.flatten(1, 2).flatten(2).transpose(1, 2)
        if x is not None and self.lidar is not None:
            x = self.lidar(x)
        answers = tokens if self.lidar is None else None if x is None else x.flatten(2).transpose(1, 2)
        if answers is not None and self.attention is not None:
            tokens = tokens + self.attention(tokens, answers)
        elif answers is not None and self.mix is not None:
            tokens = self.mix(torch.cat([tokens, answers], 2))
        return tokens.transpose(1, 2).reshape(h.shape), x


@network("CABHL")
class CABHL(LandCoverNetwork):
    """Cross-attention bridge for hyperspectral and LiDAR data.

    Where the paper contradicts itself: two stages, as in its Eq. 16; features are added as in line 10 of its
    algorithm; sqrt(k) of Eq. 14 is the width of a head. Without LiDAR in the training the cube attends to itself
    (the row "HSI + CAM" of the paper). Patches without the LiDAR that the training had get no message in any stage.

    Args:
        bands: Bands of the cube.
        rasters: Rasters of LiDAR; 0 for the cube alone.
        components: Principal components.
        patch: Side of a patch in pixels.
        nc: Number of classes.
        stages: Stages, 1 to 3.
        base: Channels b of both streams.
        dim: Channels of queries, keys and values.
        heads: Heads of the attention.
        fusion: ``attention``, ``concat`` (tokens of both side by side, mixed by one layer) or ``none`` (the stream of
            the cube alone).

    Raises:
        ConfigError: Arguments out of range.
    """

    does_without = True

    def __init__(
        self,
        bands: int = 144,
        rasters: int = 1,
        components: int = 20,
        patch: int = 8,
        nc: int = 15,
        stages: int = 2,
        base: int = 8,
        dim: int = 64,
        heads: int = 4,
        fusion: str = "attention",
    ):
        super().__init__(bands, rasters, components, patch, nc)
        check_counts("CABHL", stages=stages, base=base, dim=dim, heads=heads)
        if stages > 3 or dim % heads:
            raise ConfigError(f"stages={stages} is 3 at most and dim={dim} a multiple of heads={heads} in CABHL.")
        if fusion not in FUSIONS:
            raise ConfigError(f"fusion={fusion!r} of CABHL must be one of {', '.join(FUSIONS)}.")
        self.stages = nn.ModuleList(
            _Stage(i == 0, rasters, components, base, dim, heads, fusion) for i in range(stages)
        )
        self.head = nn.Sequential(*_normalised(nn.Conv2d(base * components, 64, 1), 64))
        self.out = nn.Linear(64, nc)

    def classify(self, hsi: torch.Tensor, lidar: torch.Tensor | None) -> torch.Tensor:
        """Logits (N, nc)."""
        h: torch.Tensor = hsi[:, None]
        for stage in self.stages:
            h, lidar = stage(h, lidar)
        return self.out(self.head(h.flatten(1, 2)).mean((2, 3)))
