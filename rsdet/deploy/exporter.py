"""Ultralytics' exporter, run on a copy of the network, with pictures of ours where it calibrates.

Some of its habits are changed here. It quantises on a dataset read and resized in its own way; ours get the pictures
that the network will get. It names itself as the author, and the data with its place on this machine. It takes a file
below 0.1 MB for a failed export. And OpenVINO and NNCF, which it calls, report their use to a server unless told that
they run in a test.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

from rsdet._version import __version__
from rsdet.deploy.calibration import Calibration
from rsdet.deploy.runners import first_line
from rsdet.errors import ExportError
from rsdet.integration import swapped
from rsdet.quiet import hushed, silent_about
from rsdet.writing import not_written, why_full

_SUFFIX = ".rsdet-export"  # stands for .pt; Ultralytics replaces it wherever it occurs in the path, so it is unique
one_at_a_time = threading.RLock()  # tracing changes state of PyTorch's that all threads share
_LEAST_MB = 0.1001  # what Ultralytics takes for a file; a network such as AOD-Net has no more
_APART = 16  # pictures between boxes of two classes; a power of two rounds nothing, predict has 7680 px, 12 of 640
FAILURES = (RuntimeError, ValueError, AssertionError, TypeError, KeyError, NotImplementedError)


def run_exporter(
    model: Any,
    module: Any,
    settings: dict[str, Any],
    place: Path,
    stem: str,
    *,
    calibration: Calibration | None = None,
    proved: bool = True,
) -> Path:
    """Make an artifact of a network that stays as it is.

    Args:
        model: Wrapper; its callbacks and its settings are used.
        module: The network; a copy of it is traced.
        settings: Export arguments of Ultralytics, with ``format``.
        place: Folder to write to.
        stem: Name of the artifact without its suffix.
        calibration: Pictures for INT8.
        proved: Whether it is going to be compared with the network; if not, its metadata say so.

    Returns:
        The artifact.

    Raises:
        ExportError: The exporter failed, or the disk is full.
    """
    from ultralytics.engine.exporter import Exporter

    class Ours(Exporter):
        """Ultralytics' exporter with our pictures for calibration, and what it writes about itself made ours."""

        @property
        def metadata(self) -> dict[str, Any]:
            """What is written into the file."""
            return self.written

        @metadata.setter
        def metadata(self, said: dict[str, Any]) -> None:
            self.written = {**_signed(said), **({} if proved else {"proved": False})}

        def get_int8_calibration_dataloader(self, prefix: str = "") -> Any:
            return calibration if calibration is not None else super().get_int8_calibration_dataloader(prefix)

    copy = deepcopy(module)
    copy.pt_path = str(place / f"{stem}{_SUFFIX}")
    if settings.get("dynamic"):
        for m in copy.modules():
            if hasattr(m, "dynamic"):
                m.dynamic = True  # layers that must be traced differently for free sizes
    base = {k: v for k, v in model.overrides.items() if k not in ("data", "device", "batch", "imgsz", "verbose")}
    arguments = {"verbose": False, "data": None, **base, **settings, "mode": "export"}
    try:
        with one_at_a_time, no_reports_home(), silent_about(place), of_any_size(), classes_apart():
            if calibration is not None:
                import nncf  # of OpenVINO, the only format that is calibrated here

                nncf.set_log_level(logging.ERROR)
            return Path(Ours(overrides=arguments, _callbacks=model.callbacks)(model=copy))
    except OSError as e:
        if e.errno is None and not why_full(
            e
        ):  # no error of the system's: a program of others that is not here, for one
            raise ExportError(f"{settings['format']} export of {stem} failed: {first_line(e)}") from e
        raise not_written(place.parent, e) from e
    except FAILURES as e:
        raise ExportError(
            f"{settings['format']} export of {stem} failed ({first_line(e)}); expected a graph that the format can "
            "hold; try another opset, dynamic=False or half=False"
        ) from e


def _signed(said: dict[str, Any]) -> dict[str, Any]:
    """Metadata of Ultralytics under our name, without its addresses and without places on this machine."""
    kept = {k: v for k, v in said.items() if k != "docs"}
    args = {k: Path(v).name if isinstance(v, str) and os.path.isabs(v) else v for k, v in said["args"].items()}
    return {
        **kept, "description": f"rsdet model for task={said['task']}", "author": "rsdet", "version": __version__,
        "license": "AGPL-3.0", "args": args,
    }  # fmt: skip


def of_any_size() -> AbstractContextManager[None]:
    """Let Ultralytics take small files for what they are."""
    from ultralytics.utils.files import file_size

    return swapped("ultralytics.engine.exporter:file_size", lambda path: max(file_size(path), _LEAST_MB))


def classes_apart() -> AbstractContextManager[None]:
    """Let suppression inside a graph keep boxes of different classes apart, also where they leave the picture."""
    import torch
    from ultralytics.engine import exporter

    def shrunk(module: Any, args: Any, out: Any) -> Any:
        raw, *rest = out if isinstance(out, tuple) else (out,)
        small = torch.cat([raw[:, :4] / _APART, raw[:, 4:]], 1)
        return (small, *rest) if rest else small

    class Apart(exporter.NMSModel):  # type: ignore[misc]
        """Its classes lie one picture apart: boxes that shrink to a sixteenth meanwhile overlap as they did."""

        def forward(self, x: Any) -> Any:
            half = self.args.quantize == 16 and self.args.format != "openvino"  # too coarse for numbers so far apart
            if self.obb or half or self.args.quantize == 8:
                return super().forward(x)
            hook = self.model.register_forward_hook(shrunk)
            try:
                out = super().forward(x)
            finally:
                hook.remove()
            rows, *rest = out if isinstance(out, tuple) else (out,)
            rows = torch.cat([rows[..., :4] * _APART, rows[..., 4:]], -1)
            return (rows, *rest) if rest else rows

    return swapped("ultralytics.engine.exporter:NMSModel", Apart)


@contextmanager
def no_reports_home() -> Iterator[None]:
    """Keep OpenVINO's converter and NNCF from reporting their use, which they do unless they take it for a test."""
    before = {k: os.environ.get(k) for k in ("CI", "NNCF_CI")}
    os.environ.update(CI="true", NNCF_CI="true")
    try:
        yield
    finally:
        for k, v in before.items():
            os.environ.pop(k) if v is None else os.environ.update({k: v})


@contextmanager
def quiet(verbose: bool) -> Iterator[None]:
    """Keep out what no user can act on: the tracer's guesses, which the parity check settles, and deprecations."""
    import torch

    with nullcontext() if verbose else hushed(logging.ERROR), warnings.catch_warnings():
        for category in (torch.jit.TracerWarning, FutureWarning, DeprecationWarning):
            warnings.simplefilter("ignore", category)
        for known in (
            "Exporting aten::index operator",
            "ONNX export mode is set to TrainingMode.EVAL, but operator",  # instance norm knows no other mode
            "Constant folding - Only steps=1",
        ):
            warnings.filterwarnings("ignore", message=known, category=UserWarning)
        yield


def private_copy(model: Any) -> Any:
    """A wrapper around a copy of the network: what is done to it (fusing, freezing) is not done to the user's.

    Args:
        model: Loaded ``RSDet``, ``RTDETR`` or ``YOLO``.
    """
    twin = object.__new__(type(model))
    twin.__dict__.update(model.__dict__)
    for key in ("_modules", "overrides"):  # a shallow copy would share these
        twin.__dict__[key] = dict(model.__dict__[key])
    twin.model = deepcopy(model.model)
    twin.predictor = twin.trainer = twin.metrics = None
    twin.__dict__.pop("_whose_turn", None)  # it has a predictor of its own, and waits for nobody
    return twin
