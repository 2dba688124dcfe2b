"""Pictures of which expert took which pixel, as figure 3 of the MFG-HMoE paper: what explains that model best.

Each group of experts has hues of its own (the first cool ones, the second warm ones), so that the coarse choice, 1x1 or
3x3, is seen at a glance and the fine one on a second look. The legend gives each expert's share of the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from rsdet.data.tiling import tile_grid
from rsdet.errors import ConfigError, DataError
from rsdet.writing import write_picture

__all__ = ["check_flag", "draw_routes", "expert_colours", "routed_network", "routes_of", "save_routes", "write_routes"]

TILE_PX, OVERLAP_PX = 512, 64  # of the input: what is larger is routed in tiles, as it would be restored

LEGEND_PX = 168  # width of the legend
LINE_PX = 17
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.4
COOL, WARM = 165.0, 345.0  # degrees at which the hues of the first two groups begin; each has 100 degrees
SMALLEST_PX = 320  # maps are enlarged by whole factors until their longer side has about this


def expert_colours(sizes: Sequence[int]) -> np.ndarray:
    """One colour per expert.

    Args:
        sizes: Number of experts of each group.

    Returns:
        (experts, 3) uint8 RGB, numbered through all groups.
    """
    hsv = []
    for i, m in enumerate(sizes):
        start, width = ((COOL, WARM)[i], 100.0) if len(sizes) == 2 else (360.0 * i / len(sizes), 320.0 / len(sizes))
        for j in range(m):
            # Neighbours in hue differ in brightness as well.
            hsv.append(((start + width * j / max(m - 1, 1)) % 360, 0.75, (0.95, 0.6)[j % 2]))
    rgb = cv2.cvtColor(np.array([hsv], np.float32), cv2.COLOR_HSV2RGB)[0]
    return np.round(rgb * 255).astype(np.uint8)


def routed_network(model: Any) -> Any:
    """The network of a model that routes pixels to experts.

    Args:
        model: A network, or what holds one in ``network``, such as a loaded model or an enhancer.

    Raises:
        ConfigError: It has no experts.
    """
    network = getattr(model, "network", model)
    if not hasattr(network, "routes"):
        raise ConfigError(
            f"save_routes= shows which expert took which pixel, and {type(network).__name__} has no experts; leave it "
            "out, or use a model such as mfg-hmoe.yaml."
        )
    return network


def routes_of(model: Any, image: np.ndarray, tile_px: int = TILE_PX, overlap_px: int = OVERLAP_PX) -> np.ndarray:
    """The expert of each pixel of an image.

    Args:
        model: See :func:`routed_network`; in inference mode.
        image: (H, W, C) float32 in [0, 1].
        tile_px: Side of the tiles in which larger images are routed.
        overlap_px: Pixels that neighbouring tiles share; each keeps the half of them that it knows better.

    Returns:
        (H, W) integers.

    Raises:
        ConfigError: The model has no experts, or tiles that cannot be.
    """
    network = routed_network(model)
    like = next(network.parameters())
    grid = tile_grid(image.shape[:2], tile_px, overlap_px)
    out = np.zeros(image.shape[:2], np.int64)
    for tile in grid:
        rows, columns = tile.slices
        x = torch.from_numpy(np.ascontiguousarray(image[rows, columns].transpose(2, 0, 1)))[None]
        with torch.inference_mode():
            routes = network.routes(x.to(like.device, like.dtype))[0].cpu().numpy()
        top, left = (overlap_px // 2 if first > 0 else 0 for first in (tile.top, tile.left))
        out[tile.top + top : rows.stop, tile.left + left : columns.stop] = routes[top:, left:]
    return out


def write_routes(model: Any, image: np.ndarray, path: Path | str) -> Path:
    """Write the picture of :func:`draw_routes` for one image; the arguments are those of :func:`routes_of`."""
    network = routed_network(model)
    return save_routes(path, routes_of(network, image), network.expert_names(), network.upsample.sizes, image)


def check_flag(key: str, value: Any) -> bool:
    """Refuse what is neither True nor False.

    Raises:
        ConfigError: It is neither.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{key}={value!r} must be True or False.")
    return value


def draw_routes(
    routes: np.ndarray, names: Sequence[str], sizes: Sequence[int], image: np.ndarray | None = None
) -> np.ndarray:
    """Colour a map of experts, beside it the legend and, where given, the image.

    Args:
        routes: (H, W) integers, the expert of each pixel.
        names: Name of each expert.
        sizes: Number of experts of each group; their sum is the number of names.
        image: (H, W, C) float in [0, 1] or uint8, RGB or gray, of the size of ``routes``.

    Returns:
        Picture (h, w, 3) uint8 RGB.

    Raises:
        DataError: Arrays whose sizes do not belong together, or experts without a name.
    """
    if routes.ndim != 2 or len(names) != sum(sizes) or routes.min(initial=0) < 0 or routes.max(initial=0) >= len(names):
        raise DataError(
            f"routes of shape {routes.shape} with values up to {routes.max(initial=0)}; expected one map (H, W) of "
            f"experts below {len(names)}, the number of names, in groups of {list(sizes)}"
        )
    colours = expert_colours(sizes)
    zoom = max(1, round(SMALLEST_PX / max(routes.shape)))
    parts = [colours[routes]]
    if image is not None:
        parts.insert(0, _as_rgb(image, routes.shape))
    parts = [p.repeat(zoom, 0).repeat(zoom, 1) for p in parts]
    shares = np.bincount(routes.ravel(), minlength=len(names)) / routes.size
    legend = _legend(names, colours, shares, sizes)
    height = max(legend.shape[0], parts[0].shape[0])
    gap = np.full((height, 6, 3), 255, np.uint8)
    row = [np.pad(p, ((0, height - len(p)), (0, 0), (0, 0)), constant_values=255) for p in (*parts, legend)]
    return np.concatenate([piece for p in row for piece in (p, gap)][:-1], 1)


def save_routes(
    path: Path | str,
    routes: np.ndarray,
    names: Sequence[str],
    sizes: Sequence[int],
    image: np.ndarray | None = None,
) -> Path:
    """Write :func:`draw_routes` as a PNG.

    Raises:
        DataError: The file cannot be written, or what :func:`draw_routes` refuses.
    """
    return write_picture(path, draw_routes(routes, names, sizes, image)[..., ::-1])


def _as_rgb(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    image = image[..., None] if image.ndim == 2 else image
    if image.shape[:2] != tuple(shape):
        raise DataError(f"image of shape {image.shape} beside routes of shape {shape}; give the input of the model")
    if image.dtype != np.uint8:
        image = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return image[..., :3] if image.shape[2] >= 3 else image[..., :1].repeat(3, 2)


def _legend(names: Sequence[str], colours: np.ndarray, shares: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """A line for each group and each expert: its colour, its name, its share of the pixels."""
    lines: list[tuple[str, float, np.ndarray | None]] = []
    first = 0
    for i, m in enumerate(sizes):
        lines.append((f"group {i + 1}", shares[first : first + m].sum(), None))
        lines += [(names[e], shares[e], colours[e]) for e in range(first, first + m)]
        first += m
    picture = np.full((LINE_PX * len(lines) + 6, LEGEND_PX, 3), 255, np.uint8)
    for n, (name, share, colour) in enumerate(lines):
        y = 4 + n * LINE_PX
        if colour is not None:
            picture[y + 1 : y + LINE_PX - 3, 4:26] = colour
        at = (32 if colour is not None else 4, y + LINE_PX - 6)
        cv2.putText(picture, name, at, FONT, FONT_SCALE, (0, 0, 0), 1, cv2.LINE_AA)
        said = f"{share:.1%}"
        width = cv2.getTextSize(said, FONT, FONT_SCALE, 1)[0][0]
        cv2.putText(picture, said, (LEGEND_PX - 4 - width, at[1]), FONT, FONT_SCALE, (0, 0, 0), 1, cv2.LINE_AA)
    return picture
