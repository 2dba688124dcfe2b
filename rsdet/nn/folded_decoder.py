"""The decoder of RT-DETR for inference, reading its maps without projecting them first.

Ultralytics' decoder projects each map by a 1x1 convolution P with batch norm, joins all cells in one list, and gives
this list to linear layers only: E, which prepares the choice of queries, and V of each decoder layer, whose result is
cut into maps again to be sampled. So ``E P`` and ``V P`` are merged into one convolution per map and purpose: the
projection costs nothing any more, and the maps to sample come out as the maps that they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import torch
import torch.nn.functional as F
from torch import nn
from ultralytics.nn.modules import RTDETRDecoder
from ultralytics.nn.modules.transformer import MSDeformAttn
from ultralytics.utils.torch_utils import fuse_conv_and_bn

from rsdet.errors import ConfigError


class FoldedAttention(nn.Module):
    """Multi-scale deformable attention on the maps themselves.

    Args:
        attention: Ultralytics' layer.
        projections: The 1x1 convolution in front of each level.
    """

    def __init__(self, attention: MSDeformAttn, projections: Sequence[nn.Conv2d]):
        super().__init__()
        self.n_heads, self.n_points = attention.n_heads, attention.n_points
        self.sampling_offsets, self.attention_weights = attention.sampling_offsets, attention.attention_weights
        self.output_proj = attention.output_proj
        value = attention.value_proj
        self.values = nn.ModuleList(_merged(value.weight, value.bias, p) for p in projections)

    def forward(
        self,
        query: torch.Tensor,
        refer_bbox: torch.Tensor,
        maps: Sequence[torch.Tensor],
        shapes: list,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Sample around the reference boxes.

        Args:
            query: (B, Q, C).
            refer_bbox: Boxes cxcywh in [0, 1], (B, Q, 1, 4).
            maps: One map (B, c, H, W) per level.
            shapes: Not needed here, the maps have them.
            mask: Not used in RT-DETR.

        Returns:
            (B, Q, C).
        """
        b, q, c = query.shape
        heads, points = self.n_heads, self.n_points * len(maps)
        offsets = self.sampling_offsets(query).view(b, q, heads, points, 2)
        weights = F.softmax(self.attention_weights(query).view(b, q, heads, points), -1)
        box = refer_bbox[:, :, None]
        places = box[..., :2] + offsets / self.n_points * box[..., 2:] * 0.5
        grids = (2 * places - 1).permute(0, 2, 1, 3, 4).flatten(0, 1).split(self.n_points, 2)  # (B heads, Q, points, 2)
        sampled = []
        for layer, x, grid in zip(self.values, maps, grids, strict=True):
            value = layer(x)
            value = value.reshape(b * heads, c // heads, *value.shape[2:])
            sampled.append(F.grid_sample(value, grid, mode="bilinear", padding_mode="zeros", align_corners=False))
        weights = weights.permute(0, 2, 1, 3).reshape(b * heads, 1, q, points)
        out = (torch.cat(sampled, -1) * weights).sum(-1).view(b, c, q)
        return self.output_proj(out.transpose(1, 2))


class _Bias(nn.Module):
    def __init__(self, bias: nn.Parameter):
        super().__init__()
        self.bias = bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.bias


class FoldedDecoder(RTDETRDecoder):
    """What an RTDETRDecoder computes outside training; the same attributes, and the same output without raw parts.

    Args:
        head: The decoder, which is left as it is.
    """

    def __init__(self, head: RTDETRDecoder):
        nn.Module.__init__(self)
        for name, value in vars(head).items():  # plain attributes; modules follow
            if not name.startswith("_") and name != "training":
                setattr(self, name, value)
        self.shapes = []
        last = head.decoder.eval_idx
        projections = [fuse_conv_and_bn(conv, bn) for conv, bn in head.input_proj]
        linear, norm = head.enc_output
        self.encode = nn.ModuleList(_merged(linear.weight, None, p) for p in projections)
        # Cells at the border are masked before the bias is added.
        self.enc_output = nn.Sequential(_Bias(linear.bias), norm)
        self.decoder = copy(head.decoder)
        self.decoder._modules = dict(head.decoder._modules)
        self.decoder.layers = nn.ModuleList(_folded(layer, projections) for layer in head.decoder.layers[: last + 1])
        for name in ("enc_score_head", "enc_bbox_head", "query_pos_head", "dec_score_head", "dec_bbox_head"):
            setattr(self, name, getattr(head, name))
        if self.learnt_init_query:
            self.tgt_embed = head.tgt_embed
        self.iou_mean = getattr(head, "iou_mean", None)

    def forward(self, x: list[torch.Tensor], batch: dict | None = None) -> tuple | torch.Tensor:
        """Maps of the levels to (B, k, 6) of cx, cy, w, h, score, class; in a pair unless exported."""
        shapes = [list(m.shape[2:]) for m in x]
        encoded = torch.cat([layer(m).flatten(2) for layer, m in zip(self.encode, x, strict=True)], 2).transpose(1, 2)
        embed, refer_bbox, enc_bboxes, enc_scores = self._get_decoder_input(encoded, shapes)
        boxes, scores = self.decoder(
            embed, refer_bbox, x, shapes, self.dec_bbox_head, self.dec_score_head, self.query_pos_head
        )
        y = self.postprocess(boxes.squeeze(0), scores.squeeze(0).sigmoid())
        return y if self.export else (y, (boxes, scores, enc_bboxes, enc_scores, None))


def use_decoder_layers(head: RTDETRDecoder, layers: int) -> None:
    """Let a decoder stop early at inference; each layer has been trained to give boxes of its own.

    Every layer left out makes boxes and scores less exact: measure what that costs on the data at hand.

    Args:
        head: Decoder; changed in place. Folding it afterwards drops the layers that are not used.
        layers: Number of layers to run.

    Raises:
        ConfigError: There are not that many.
    """
    most = len(head.decoder.layers)
    if type(layers) is not int or not 1 <= layers <= most:
        raise ConfigError(
            f"decoder_layers={layers!r} received; must be an integer from 1 to {most}; leave it out for all."
        )
    head.decoder.eval_idx = layers - 1


def _folded(layer: nn.Module, projections: Sequence[nn.Conv2d]) -> nn.Module:
    twin = copy(layer)
    twin._modules = dict(layer._modules)
    twin.cross_attn = FoldedAttention(layer.cross_attn, projections)
    return twin


def _merged(weight: torch.Tensor, bias: torch.Tensor | None, first: nn.Conv2d) -> nn.Conv2d:
    """The 1x1 convolution that does ``first`` and then the linear layer; multiplied in float64, rounded once."""
    w, f = weight.detach().double(), first.weight.detach().double().flatten(1)
    b = w @ first.bias.detach().double() + (0 if bias is None else bias.detach().double())
    new = nn.Conv2d(first.in_channels, len(w), 1).to(weight.device, weight.dtype).requires_grad_(False)
    new.weight.copy_((w @ f)[..., None, None])
    new.bias.copy_(b)
    return new
