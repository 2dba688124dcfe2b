"""Layers, one idea per file. Importing this package makes every one of them known by name to the model YAMLs."""

import rsdet.nn.acr
import rsdet.nn.aodnet
import rsdet.nn.cabhl
import rsdet.nn.deeplab
import rsdet.nn.edsr
import rsdet.nn.fc_siam
import rsdet.nn.mfg_hmoe
import rsdet.nn.patch_cnn
import rsdet.nn.seguformer
import rsdet.nn.siamese_smp
import rsdet.nn.smp
import rsdet.nn.ssanet
import rsdet.nn.tinycd
import rsdet.nn.upsample  # these are networks, known to model YAMLs by @network  # noqa: F401
from rsdet.nn.attention import CBAM, ECA, SE, CoordAttention, SimAM
from rsdet.nn.cagfm import CAGFM, ESE
from rsdet.nn.context_head import DPE, SCE, SSCDetect
from rsdet.nn.downsample import AvgPoolDown, InterpDown
from rsdet.nn.dwtma import DWB, FFEB, MAB, SAOD, DilatedResidual, DWTMANet, SKFusion, StarBlock  # noqa: F401
from rsdet.nn.fourier import FAM
from rsdet.nn.heat import HCO, HeatBlock, VHeatC2f
from rsdet.nn.hmoe import DRHMoE
from rsdet.nn.mfadm import MFADM
from rsdet.nn.resnet import BasicBlock, BasicLayer, ConvStem
from rsdet.nn.shuffle_attention import ShuffleAttention
from rsdet.nn.wavelet import WDM, HaarDWT, HaarIDWT
from rsdet.nn.window_attention import OCAB, WindowAttention

__all__ = [
    "CAGFM",
    "CBAM",
    "DPE",
    "DWB",
    "ECA",
    "ESE",
    "FAM",
    "FFEB",
    "HCO",
    "MAB",
    "MFADM",
    "OCAB",
    "SAOD",
    "SCE",
    "SE",
    "WDM",
    "AvgPoolDown",
    "BasicBlock",
    "BasicLayer",
    "ConvStem",
    "CoordAttention",
    "DRHMoE",
    "DilatedResidual",
    "HaarDWT",
    "HaarIDWT",
    "HeatBlock",
    "InterpDown",
    "SKFusion",
    "SSCDetect",
    "ShuffleAttention",
    "SimAM",
    "StarBlock",
    "VHeatC2f",
    "WindowAttention",
]
