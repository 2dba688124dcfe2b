"""Where autocast must not reach: Fourier transforms and whatever else half precision spoils."""

from __future__ import annotations

import contextlib

import torch

__all__ = ["full_precision"]


def full_precision(device: torch.device) -> contextlib.AbstractContextManager:
    """A context without autocast on a device; inputs are still to be cast to float32 by the caller."""
    if not torch.amp.is_autocast_available(device.type):  # such as "meta"
        return contextlib.nullcontext()
    return torch.autocast(device.type, enabled=False)
