"""Pictures in pairs, the data of image-to-image networks: what a network gets, and what it should have made of it.

What needs PyTorch is in :mod:`rsdet.data.pairs.dataset` and is imported from there.
"""

from __future__ import annotations

from rsdet.data.pairs.matching import Pair
from rsdet.data.pairs.spec import PairData, read_pair_data

__all__ = ["Pair", "PairData", "read_pair_data"]
