"""Weights without code: checking a checkpoint before it is loaded, and a plain form that outlives class paths.

A ``.pt`` file is a pickle, and unpickling runs whatever the file asks for. rsdet reads such files only through
PyTorch's ``weights_only`` unpickler, with an allow-list of the layers of Ultralytics, PyTorch and rsdet.
"""

from __future__ import annotations

import json
import os
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rsdet import tasks
from rsdet.errors import CheckpointError, MissingDependencyError, RSDetError, install, nearest_file
from rsdet.names import class_names
from rsdet.networkchecks import check_finite, check_model, check_names
from rsdet.runtime.metadata import is_size
from rsdet.textfiles import parse_json
from rsdet.writing import with_ending, write_bytes

PLAIN_FORMAT = "rsdet-plain-1"


def with_registered(stock: Callable[[], dict[str, Any]]) -> staticmethod[[], dict[str, Any]]:
    """Ultralytics' allow-list, with what is registered here."""
    return staticmethod(wraps(stock)(lambda: {**stock(), **registered()}))


def refusing_calls(
    stock: Callable[..., AbstractContextManager[None]],
) -> staticmethod[..., AbstractContextManager[None]]:
    """Ultralytics' safe loading, which learns what a checkpoint asks for, and refuses one that calls it."""

    @contextmanager
    @wraps(stock)
    def loading(weight: Any) -> Iterator[None]:
        allow_needed(weight)
        with stock(weight):
            refuse_calls(weight)
            yield

    return staticmethod(loading)


def unless_refused(stock: bool) -> bool:
    """Whether weights are loaded safely: always, unless the user has said otherwise."""
    refused = os.environ.get("ULTRALYTICS_SAFE_LOAD", "true").lower() in {"false", "0", "no", "off"}
    return stock if refused else True


def always(stock: bool) -> bool:
    """Weights are loaded safely, whatever the user has said."""
    return True


def registered() -> dict[str, type[nn.Module]]:
    """Every layer and network that has been registered, by dotted path; those of plug-ins among them."""
    import rsdet.nn  # noqa: F401  registers ours
    from rsdet.nn.networks import NETWORKS
    from rsdet.registry import registered_classes

    return {f"{c.__module__}.{c.__qualname__}": c for c in (*registered_classes().values(), *NETWORKS.values())}


def allow_needed(path: str | Path) -> None:
    """Add to Ultralytics' allow-list what a checkpoint asks for, imported only now.

    That is layers and networks of ours, of registered plug-ins and of timm.

    Raises:
        MissingDependencyError: It holds layers of timm, and timm is not installed.
    """
    from ultralytics.nn.tasks import _SafeLoad

    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (RuntimeError, ValueError, pickle.UnpicklingError, EOFError, KeyError, IndexError):
        return  # whoever loads it says what is wrong with it
    known = registered()
    needed = {name: known.get(name) or _layer(name, path) for name in names}
    with _SafeLoad._lock:
        if _SafeLoad._registry is None:
            _SafeLoad._registry = _SafeLoad._build()
        _SafeLoad._registry.update({name: cls for name, cls in needed.items() if cls is not None})


def _layer(name: str, path: str | Path) -> type[nn.Module] | None:
    """The layer or network of that dotted path, where it is one of ours or of timm."""
    module, _, attribute = name.rpartition(".")
    if not module.startswith(("timm.layers.", *(f"{package}." for package in (__package__, *tasks.packages())))):
        return None
    try:
        cls = getattr(import_module(module), attribute, None)
    except ModuleNotFoundError as e:
        if not module.startswith("timm."):
            return None
        raise MissingDependencyError(
            f"{path} holds layers of timm, which is not installed; {install('attention')}."
        ) from e
    ours = isinstance(cls, type) and issubclass(cls, nn.Module) and cls.__module__ == module
    return cls if ours else None


def refuse_calls(path: str | Path) -> None:
    """Refuse a checkpoint that calls a layer while it is read: one from ``torch.save`` restores layers without that.

    The allow-list says which classes may be named, not what is done with them, and to make some of Ultralytics' and
    PyTorch's from chosen arguments is to read or fetch a file.

    Raises:
        CheckpointError: It does.
    """
    from ultralytics.nn.tasks import _SafeLoad

    try:
        program = torch._C.PyTorchFileReader(str(path)).get_record("data.pkl")
    except RuntimeError:
        return  # whoever loads it says what is wrong with it
    try:
        called = _called(program)
    except (ValueError, IndexError, KeyError) as e:
        raise CheckpointError(f"{path} is damaged ({_one_line(e)}), so it was not opened; copy it again.") from e
    known = _SafeLoad._registry or {}
    made = sorted(n for n in called if isinstance(c := known.get(n), type) and issubclass(c, nn.Module))
    if made:
        raise CheckpointError(
            f"{path} was refused and nothing in it was run: it would call {', '.join(made)} while it is read, which no "
            "saved model does; do not use this file."
        )


def _called(program: bytes) -> set[str]:
    """Dotted names of what a pickle calls, found by following its stack without doing anything it says."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    found: set[str] = set()
    for op, arg, _ in pickletools.genops(program):
        if op.name == "GLOBAL":
            stack.append(arg.replace(" ", "."))
        elif op.name.endswith("PUT"):
            memo[arg] = stack[-1]
        elif op.name.endswith("GET"):
            stack.append(memo[arg])
        elif op.name == "MARK":
            stack.append(pickletools.markobject)
        else:
            if op.name == "REDUCE":
                found.add(str(stack[-2]))
            taken = op.stack_before
            if pickletools.markobject in taken:
                while stack.pop() is not pickletools.markobject:
                    pass
                taken = taken[: taken.index(pickletools.markobject)]
            if taken:
                del stack[-len(taken) :]
            stack += [None] * len(op.stack_after)
    return found


@contextmanager
def loading(path: str | Path) -> Iterator[None]:
    """Say in one line what is wrong with a checkpoint that :func:`check` has let pass and that cannot be loaded.

    Raises:
        CheckpointError: In place of whatever a file that holds something else makes of the code that reads it.
    """
    try:
        yield
    except RSDetError:
        raise
    except Exception as e:
        raise CheckpointError(f"{path} {_what_it_holds(path)}.") from e


def examine(path: str | Path) -> dict[str, Any]:
    """Content of a checkpoint that Ultralytics will load by itself, once it is known to be one that can be used.

    Raises:
        CheckpointError: It cannot.
    """
    from ultralytics.nn.tasks import load_checkpoint

    check(path)
    with loading(path):
        model, content = load_checkpoint(str(path))
        check_model(model, path)
    return content


def _what_it_holds(path: str | Path) -> str:
    """What is in a file that Ultralytics cannot load, with the remedy."""
    remedy = "pass a checkpoint that rsdet or Ultralytics has trained"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # what it holds stays unknown
        return f"cannot be read as a model; {remedy}"
    held = content.get("state_dict", content) if isinstance(content, dict) else content
    if isinstance(held, dict) and held and all(isinstance(v, torch.Tensor) for v in held.values()):
        return (
            "is a plain state dict (tensors without their network); build the network in Python, load them into it "
            f"(model.model.load_state_dict) and save that with save_plain(), or {remedy}"
        )
    if isinstance(content, dict):
        return f"has no model in it (it holds {', '.join(map(str, list(content)[:4])) or 'nothing'}); {remedy}"
    return f"holds {type(content).__name__} and no model; {remedy}"


def check_torchscript(path: str | Path) -> None:
    """Make sure that a TorchScript archive can be loaded and holds numbers.

    Raises:
        CheckpointError: It does not.
    """
    try:
        module = torch.jit.load(str(path), map_location="cpu")
    except (RuntimeError, ValueError) as e:
        raise CheckpointError(f"{path} is no TorchScript that can be loaded ({_one_line(e)}); export it again.") from e
    check_finite(module.state_dict(), path)


def check(path: str | Path) -> Path:
    """Make sure that a checkpoint can be loaded without running code, and say in one line why not.

    Args:
        path: A ``.pt`` file.

    Returns:
        The path.

    Raises:
        CheckpointError: Missing, empty, truncated or foreign file, or one that needs classes outside the allow-list.
    """
    from ultralytics.nn.tasks import _SafeLoad

    path = Path(path)
    if not path.is_file():
        hint = nearest_file(path, "*.pt")
        raise CheckpointError(f"weights {str(path)!r} do not exist.{hint} Check the path.")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty (0 bytes); copy or download it again.")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(
            f"{path} is not a PyTorch checkpoint (damaged, truncated, or another file renamed .pt), so it was not "
            "opened; copy or download it again."
        )
    allow_needed(path)
    try:
        with zipfile.ZipFile(path) as z:
            packed = [info.filename for info in z.infolist() if info.compress_type != zipfile.ZIP_STORED]
    except (zipfile.BadZipFile, OSError, ValueError) as e:
        raise CheckpointError(f"{path} cannot be read as a PyTorch checkpoint ({_one_line(e)}); copy it again.") from e
    if packed:  # a thousandth of its size on disk
        raise CheckpointError(
            f"{path} is compressed ({packed[0]}), which no checkpoint of PyTorch is, and what it would take to unpack "
            "it is unknown, so it was not opened; copy or download it again."
        )
    try:
        with _SafeLoad.loading(path):
            unknown = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (RuntimeError, ValueError, pickle.UnpicklingError, EOFError, KeyError, IndexError) as e:
        raise CheckpointError(f"{path} cannot be read as a PyTorch checkpoint ({_one_line(e)}); copy it again.") from e
    if unknown:
        raise CheckpointError(
            f"{path} was refused and nothing in it was run: it needs {', '.join(sorted(unknown))}, which is not a "
            "layer of Ultralytics, PyTorch or rsdet; if you trust it, import the package that defines and registers it "
            "(rsdet.register), else do not use this file."
        )
    return path


def _one_line(e: BaseException) -> str:
    return str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__


_HEADER = {"yaml": "", "names": "", "imgsz": "640"}  # what stands there in JSON, and without it


def save_plain(model: nn.Module, path: str | Path, half: bool = False) -> Path:
    """Save weights as safetensors, with the resolved YAML and the class names in its header.

    Args:
        model: A detection model with ``yaml`` and ``names``.
        path: Target; ``.safetensors`` is added, or takes the place of ``.pt``.
        half: Keep parameters in half precision, half the size. Running means and variances stay as they are.

    Raises:
        CheckpointError: A parameter is too large for half precision.
    """
    from safetensors.torch import save

    path = with_ending(path, ".safetensors", (".pt", ".pth"))
    header = {
        "format": PLAIN_FORMAT,
        "yaml": json.dumps(model.yaml),
        "names": json.dumps(model.names),
        "task": str(getattr(model, "task", "detect")),
        "imgsz": json.dumps(
            (getattr(model, "args", None) or {}).get("imgsz", 640) if isinstance(model.args, dict) else 640
        )
        if hasattr(model, "args")
        else "640",
    }
    state = {k: v.contiguous() for k, v in model.state_dict().items()}
    if half:
        state |= {k: _halved(k, state[k], path) for k, _ in model.named_parameters() if k in state}
    return write_bytes(path, save(state, metadata=header))  # safetensors' own writer does not say that the disk is full


def _halved(name: str, value: torch.Tensor, path: Path) -> torch.Tensor:
    small = value.half()
    if not torch.isfinite(small).all() and torch.isfinite(value).all():
        raise CheckpointError(
            f"{path}: {name} holds {float(value.abs().max()):.3g}, more than half precision can; leave half= out."
        )
    return small


def load_plain(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Load what :func:`save_plain` wrote.

    Returns:
        The model in float32 and eval mode, and the header, with ``task`` and ``imgsz`` as values.

    Raises:
        CheckpointError: Not such a file, or the weights do not fit the YAML in it.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"weights {str(path)!r} do not exist; check the path.")
    try:
        with safe_open(path, framework="pt") as f:
            header = f.metadata() or {}
            state = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (safe_open is no mapping)
        if twofold := [k for k, v in state.items() if v.is_complex()]:
            raise CheckpointError(f"{path}: {twofold[0]} holds complex numbers, of which half would be lost.")
    except (SafetensorError, OSError, RuntimeError) as e:  # RuntimeError: larger than the memory can hold in view
        raise CheckpointError(f"{path} is not a safetensors file ({_one_line(e)}); copy it again.") from e
    if header.get("format") != PLAIN_FORMAT:
        raise CheckpointError(f"{path} holds no rsdet header; save it with RSDet.save_plain().")
    damaged = "its header is damaged; copy it again, or save it again with RSDet.save_plain()"
    cfg, names, imgsz = (parse_json(header.get(k, d), path, CheckpointError, damaged) for k, d in _HEADER.items())
    numbered = isinstance(names, dict) and all(k.isdecimal() and isinstance(v, str) for k, v in names.items())
    numbered = numbered and len({int(k) for k in names}) == len(names)  # "0" and "00" are one, and a name was lost
    if not numbered or not isinstance(cfg, dict) or not is_size(imgsz):
        raise CheckpointError(f"{path}: {damaged}.")
    try:
        model = tasks.get(cfg.get("task", "detect")).build(cfg)
        model.load_state_dict(state)
    except RSDetError as e:
        raise CheckpointError(f"{path}: {e}") from e
    except Exception as e:  # whatever a YAML that describes no network makes of the code that builds it
        raise CheckpointError(f"{path}: the weights do not fit the YAML in their header ({_one_line(e)}).") from e
    check_finite(state, path)
    model.names = class_names(names, twins=True)
    check_names(model, path)
    model.task = cfg.get("task", "detect")
    return model.float().eval(), {**header, "task": model.task, "imgsz": imgsz}
