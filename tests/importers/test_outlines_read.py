"""Masks to polygons, and run lengths to masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet.data.importers._outlines import decoded_runs, outlines


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 14), st.integers(1, 14), st.randoms(use_true_random=False))
def test_outlines_of_a_mask_hold_exactly_its_pixels(height, width, random):
    tools = pytest.importorskip("pycocotools.mask")
    mask = np.array([[random.random() < 0.6 for _ in range(width)] for _ in range(height)])
    packed = tools.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert (decoded_runs({"size": [height, width], "counts": packed["counts"].decode()}) == mask).all()
    rings, holes = outlines(mask)
    drawn = np.zeros_like(mask)
    for ring in tools.frPyObjects([list(ring) for ring in rings], height, width) if rings else ():
        drawn |= tools.decode(ring).astype(bool)
    assert drawn[mask].all()
    assert (drawn == mask).all() or holes
