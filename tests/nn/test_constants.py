"""Constant tensors come in every type that is asked for, and are made once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsdet.nn.constants import constant


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32]
)
def test_a_constant_has_the_type_that_is_asked_for(dtype):
    made: list[int] = []

    def make() -> np.ndarray:
        made.append(1)
        return np.array([1.0, 3.0])

    first, again = (constant(("test of types",), make, dtype, "cpu") for _ in range(2))
    assert first.dtype == dtype
    assert first.tolist() == [1, 3]
    assert again is first
    assert len(made) == 1
