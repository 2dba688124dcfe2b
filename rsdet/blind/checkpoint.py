"""A fit on disk, to go on from after a power cut or with more steps. Plain values and tensors only, no code."""

from __future__ import annotations

import io
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from rsdet.checkpoint import check
from rsdet.errors import CheckpointError
from rsdet.writing import write_bytes

if TYPE_CHECKING:
    from rsdet.blind.solver import Solver

_PARTS = ("image_net", "kernel_net", "image_adam", "kernel_adam", "sampler")
_PLAIN = ("z_x", "z_k", "warmed", "outer", "rows", "best", "latest")
_MAY_CHANGE = {"iters", "time_limit", "stop_factor", "noise_sigma", "output", "tile_px", "overlap_px"}
_UNREADABLE = (
    CheckpointError,
    OSError,
    RuntimeError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    ValueError,
    pickle.UnpicklingError,
)


def save(solver: Solver, path: Path) -> None:
    """Write all that decides what comes next; the file appears whole or not at all.

    Args:
        solver: Between two outer steps.
        path: Target; its folder is made.
    """
    state = {name: getattr(solver, name).state_dict() for name in _PARTS}
    state |= {name: getattr(solver, name) for name in _PLAIN}
    state |= {"settings": asdict(solver.set), "seed": solver.seed, "y": solver.y, "fixed": solver.fixed}
    state["history"] = None if solver.history is None else solver.history.network.state_dict()
    buffer = io.BytesIO()  # PyTorch's own writer does not say that the disk is full
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue())


def load(solver: Solver, path: Path) -> None:
    """Put a solver where :func:`save` was called.

    Raises:
        CheckpointError: It is of another picture, seed, kernel or setting, or no checkpoint of a fit.
    """
    try:
        check(path)
        state = torch.load(path, map_location=solver.device, weights_only=True)
        same = (
            all(_equal(state[name], getattr(solver, name)) for name in ("y", "fixed")) and state["seed"] == solver.seed
        )
        other = {k for k, v in asdict(solver.set).items() if state["settings"].get(k) != v} - _MAY_CHANGE
    except _UNREADABLE as e:
        why = " ".join(str(e).split())[:80]
        raise CheckpointError(f"{path} is no checkpoint of a HAC-MoE fit ({why}); delete it or name another") from e
    if not same or other:
        what = f"other settings ({', '.join(sorted(other))})" if same else "another picture, seed or kernel"
        raise CheckpointError(f"{path} belongs to {what}; delete it or name another")
    if (state.get("history") is None) != (solver.history is None):
        raise CheckpointError(f"{path} was written with another output=; use the one that it was written with")
    try:
        for name in _PARTS:
            getattr(solver, name).load_state_dict(state[name])
        if solver.history is not None:
            solver.history.network.load_state_dict(state["history"])
        for name in _PLAIN:
            setattr(solver, name, state[name])
    except _UNREADABLE as e:  # layers of another shape, or none
        raise CheckpointError(f"{path} is damaged or of another release of rsdet; delete it or name another") from e


def _equal(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    return a is b if a is None or b is None else a.shape == b.shape and torch.equal(a, b)
