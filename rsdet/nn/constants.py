"""Constant tensors (index tables, masks, filter taps) that belong to no state dict.

Checkpoints are stored in half precision, so a constant held as a buffer would lose digits for good, and an index table
held by each of forty attention layers would make them megabytes larger. Constants are made in NumPy, once per process,
dtype and device, and enter traced graphs as plain numbers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
import torch

__all__ = ["constant"]

LIMIT = 128  # tables kept; the least recently used one goes first, so memory stays bounded whatever sizes come in
_kept: OrderedDict[tuple, torch.Tensor] = OrderedDict()


def constant(
    key: tuple[Hashable, ...], make: Callable[[], np.ndarray], dtype: torch.dtype, device: torch.device | str
) -> torch.Tensor:
    """The array that ``make`` returns, as a tensor, made once for each ``key``, dtype and device.

    Args:
        key: What the array depends on; its first entry names the kind.
        make: Makes the array, in float64 or int64; it is rounded once, here.
        dtype: Type of the result.
        device: Device of the result.

    Returns:
        A tensor without gradient that must not be written to.
    """
    key = (*key, dtype, torch.device(device))
    kept = _kept.get(key)
    if kept is None:
        # A tensor first made under inference_mode could never be used in training, and the cache outlives both.
        with torch.inference_mode(False):
            kept = _tensor(np.ascontiguousarray(make()), dtype, torch.device(device))
        if type(kept) is not torch.Tensor:  # torch.export hands out fakes, which must not outlive it
            return kept
        _kept[key] = kept
        if len(_kept) > LIMIT:
            _kept.popitem(last=False)
    else:
        _kept.move_to_end(key)
    return kept


def _tensor(array: np.ndarray, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Converted in NumPy where it has the type: each step of PyTorch would be recorded while a graph is traced."""
    own = {torch.float64: np.float64, torch.float32: np.float32, torch.float16: np.float16, torch.int64: np.int64}
    kept = torch.from_numpy(array.astype(own[dtype]) if dtype in own else array)
    kept = kept if kept.dtype == dtype else kept.to(dtype)
    return kept if kept.device == device else kept.to(device)
