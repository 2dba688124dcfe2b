"""Layers, one idea per file. Importing this package makes every one of them known by name to the model YAMLs."""

from rsdet.nn.cagfm import CAGFM, ESE
from rsdet.nn.downsample import AvgPoolDown, InterpDown
from rsdet.nn.heat import HCO, HeatBlock, VHeatC2f
from rsdet.nn.mfadm import MFADM
from rsdet.nn.resnet import BasicBlock, BasicLayer, ConvStem

__all__ = [
    "CAGFM",
    "ESE",
    "HCO",
    "MFADM",
    "AvgPoolDown",
    "BasicBlock",
    "BasicLayer",
    "ConvStem",
    "HeatBlock",
    "InterpDown",
    "VHeatC2f",
]
