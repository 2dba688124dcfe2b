"""SAR files as agencies deliver them: magnitudes, stretched to 8 bits by one rule that travels with the weights.

``header`` says what a file holds without decoding it, ``reader`` decodes it, ``stretch`` is the rule (``section`` its
form in YAML), ``measure`` finds its numbers on the training images, ``check`` refuses what does not fit it, ``picture``
is path -> uint8, ``augment`` and ``speckle`` are the training side.
"""

from __future__ import annotations

from rsdet.data.sar.check import check_sar_images, sar_problem
from rsdet.data.sar.header import SarHeader, read_sar_header
from rsdet.data.sar.measure import Measured, measure
from rsdet.data.sar.picture import SarReader
from rsdet.data.sar.reader import SarImage, read_sar
from rsdet.data.sar.stretch import Stretch

__all__ = [
    "Measured",
    "SarHeader",
    "SarImage",
    "SarReader",
    "Stretch",
    "check_sar_images",
    "measure",
    "read_sar",
    "read_sar_header",
    "sar_problem",
]
