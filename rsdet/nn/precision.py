"""Where autocast must not reach: Fourier transforms and whatever else half precision spoils."""

from __future__ import annotations

import contextlib

import torch

__all__ = ["full_precision"]


def full_precision(device: torch.device) -> contextlib.AbstractContextManager:
    """A context without autocast on a device; inputs are still to be cast to float32 by the caller."""
    if device.type == "meta":  # knows no autocast; asking which devices do is nothing that torch.export 2.6 can trace
        return contextlib.nullcontext()
    return torch.autocast(device.type, enabled=False)
