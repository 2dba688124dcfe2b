"""Layers, one idea per file. Importing this package makes every one of them known by name to the model YAMLs."""

from rsdet.nn.attention import CBAM, ECA, SE, CoordAttention, SimAM
from rsdet.nn.cagfm import CAGFM, ESE
from rsdet.nn.context_head import DPE, SCE, SSCDetect
from rsdet.nn.downsample import AvgPoolDown, InterpDown
from rsdet.nn.heat import HCO, HeatBlock, VHeatC2f
from rsdet.nn.mfadm import MFADM
from rsdet.nn.resnet import BasicBlock, BasicLayer, ConvStem
from rsdet.nn.shuffle_attention import ShuffleAttention

__all__ = [
    "CAGFM",
    "CBAM",
    "DPE",
    "ECA",
    "ESE",
    "HCO",
    "MFADM",
    "SCE",
    "SE",
    "AvgPoolDown",
    "BasicBlock",
    "BasicLayer",
    "ConvStem",
    "CoordAttention",
    "HeatBlock",
    "InterpDown",
    "SSCDetect",
    "ShuffleAttention",
    "SimAM",
    "VHeatC2f",
]
