"""Folders of runs are made, not looked for: two runs that begin at once have one each. And what processes share."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch.distributed as dist
from ultralytics.cfg import get_cfg, get_save_dir
from ultralytics.utils import RANK
from ultralytics.utils.torch_utils import select_device

from rsdet.writing import check_apart, new_folder


def run_folder(args: Any) -> Path:
    """Make the folder of a run below ``project=``, where Ultralytics would look for a name that is free.

    Args:
        args: Settings of the run. A ``save_dir`` among them is taken as it is.
    """
    if getattr(args, "save_dir", None):
        return get_save_dir(args)
    return new_folder(get_save_dir(SimpleNamespace(**{**vars(args), "exist_ok": True})), args.exist_ok)


def forget(folder: Path | None) -> None:
    """Take away the folder of a training that ended before its first epoch did, so that the next one has its name."""
    if folder is None or not folder.is_dir():
        return
    weights, rest = folder / "weights", {p.name for p in folder.iterdir()} - {"weights", "args.yaml", "labels.jpg"}
    if any(not name.startswith("train_batch") for name in rest) or (weights.is_dir() and any(weights.iterdir())):
        return  # something has been learnt, or it is not ours
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)


def asked_device(args: Any) -> str | None:
    """The device that a user asks for, as :func:`rsdet.runtime.graph.open_graph` takes it; None where nobody does."""
    return None if args.device in (None, "") else str(select_device(args.device, verbose=False))


def gathered(own: Any) -> list[Any]:
    """What each process of a training has, on the first of them; nothing on the others, ``[own]`` without others."""
    if RANK == -1 or not dist.is_initialized():
        return [own]
    everyone: list[Any] = [None] * dist.get_world_size() if RANK == 0 else []
    dist.gather_object(own, everyone or None, dst=0)
    return everyone


class ValFolder:
    """Mixed in before one of Ultralytics' validators."""

    def __init__(self, dataloader: Any = None, save_dir: Path | None = None, args: Any = None, _callbacks: Any = None):
        super().__init__(dataloader, save_dir or run_folder(get_cfg(overrides=args)), args, _callbacks)


class PredictFolder:
    """Mixed in before one of Ultralytics' predictors; its folder is made once there is something to write."""

    _made: Path | None = None
    sources: Sequence[str | Path] = ()

    def setup_source(self, *args: Any, **kwargs: Any) -> None:
        """Open the source, and make the folder if files are going to be saved."""
        super().setup_source(*args, **kwargs)
        self.sources = [path for path in getattr(self.dataset, "files", ()) if os.path.exists(path)]
        if self.args.save or self.args.save_txt or self.args.save_crop:
            self.make_folder()

    @property
    def place(self) -> dict[str, Any]:
        """``project``, ``name`` and ``exist_ok`` of the folder of the run."""
        return {"project": Path(self.args.project), "name": self.args.name, "exist_ok": self.args.exist_ok}

    def make_folder(self) -> Path:
        """The folder of the run, made at the first call; Ultralytics keeps it until ``project``, ``name``, … change."""
        if self.save_dir != self._made:
            self.save_dir = self._made = run_folder(self.args)
        if self.args.save or self.args.save_txt or self.args.save_crop:
            check_apart(self.save_dir, self.sources, labels=self.args.save_txt)
        return self.save_dir
