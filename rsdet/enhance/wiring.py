"""``enhance=``, ``enhance_tile=`` and ``enhance_overlap=`` of the methods of :class:`rsdet.RSDet` that detect."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsdet.enhance.chain import EnhanceChain
from rsdet.enhance.chain_json import is_chain_json, read_chain_json
from rsdet.enhance.joint import check_spec, joint_networks, read_freeze, spec_text
from rsdet.enhance.loading import load_chain, split_spec
from rsdet.errors import ConfigError

__all__ = [
    "KEYS",
    "chain_detector",
    "chain_for",
    "check_moved",
    "is_chain_json",
    "joint_parts",
    "take_chain",
    "train_settings",
    "with_time",
]

KEYS = ("enhance", "enhance_tile", "enhance_overlap")


def take_chain(model: Any, given: dict[str, Any]) -> EnhanceChain | None:
    """Take what is about enhancers out of the arguments of a mode; see :func:`chain_for`."""
    if given.get("enhance", "") is None:  # said to be none, whatever the model's file ties to it
        given["enhance"] = "none"
    return chain_for(model, **{k: given.pop(k) for k in KEYS if k in given})


def check_moved(given: Mapping[str, Any]) -> None:
    """Refuse ``tile=`` and ``overlap=`` beside ``enhance=`` where they used to be the enhancer's.

    Raises:
        ConfigError: They are there.
    """
    old = next((k for k in ("tile", "overlap") if given.get(k) is not None), None)
    if old and given.get("enhance") not in (None, "none"):
        raise ConfigError(f"{old}= cuts scenes now; for the enhancer say enhance_{old}=.")


def chain_for(
    model: Any, enhance: Any = None, enhance_tile: int | None = None, enhance_overlap: int | None = None
) -> EnhanceChain | None:
    """Load the chain that the arguments of a mode ask for.

    Args:
        model: The detector; a chain that its file names is used unless the arguments name one.
        enhance: Enhancers; ``"none"`` asks for none, whatever the file says.
        enhance_tile: Side of the tiles of an enhancer.
        enhance_overlap: Pixels that neighbouring tiles share.

    Raises:
        ConfigError: The chain cannot be loaded, or does not fit the detector.
    """
    spec = getattr(model, "_chain", None) if enhance is None else enhance  # Ultralytics' own classes know of none
    if spec is None or spec == "none":
        if enhance_tile is not None or enhance_overlap is not None:
            wrong = "enhance_overlap" if enhance_tile is None else "enhance_tile"
            raise ConfigError(f"{wrong}= cuts pictures for an enhancer, and there is no enhance=; leave it out.")
        return None
    if not getattr(model.model, "learns", True):
        raise ConfigError("enhance= makes 8-bit pictures, CFAR measures the amplitudes of radar files; leave it out.")
    if joint_parts(model):
        raise ConfigError(
            f"{model.model_name} holds the enhancer that it was trained with and would enhance twice; leave it out."
        )
    chain = load_chain(spec, tile=enhance_tile, overlap=enhance_overlap)
    chain.check_detector(model.channels, model.sar)
    return chain


def train_settings(model: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a training with ``enhance=`` and ``freeze=detector`` or ``enhancer`` in terms that a trainer knows.

    Raises:
        ConfigError: Networks that are there already, or values that cannot be.
    """
    inside, kwargs = joint_parts(model), dict(kwargs)
    if kwargs.get("enhance") is not None:
        if kwargs.get("resume"):
            raise ConfigError("resume=True goes on with what was begun; leave enhance= out.")
        kwargs["enhance"] = spec_text(split_spec(kwargs["enhance"]))
        check_spec(kwargs["enhance"])
        if inside:
            raise ConfigError(
                f"{model.model_name} holds an enhancer already and is trained with it; leave enhance= out."
            )
        joint_networks(kwargs["enhance"], model.channels or 3)  # now: a training has a folder and a log before it fails
    rows = len(getattr(model.model, "model", []) or [])
    return read_freeze(kwargs, rows, bool(inside or kwargs.get("enhance")))


def joint_parts(model: Any) -> list[dict[str, Any]]:
    """What a detector that was trained together with an enhancer holds: its networks, as the YAML names them."""
    spec = getattr(model.model, "yaml", None)
    return list((spec.get("enhance") or {}).get("networks", [])) if isinstance(spec, dict) else []


def with_time(result: Any) -> Any:
    """Give a result the time of the enhancers, which Ultralytics has counted as preprocessing."""
    ms = getattr(result, "enhance_ms", None)
    if ms is not None and "preprocess" in result.speed:
        result.speed = {"enhance": ms, **result.speed, "preprocess": max(0.0, result.speed["preprocess"] - ms)}
    return result


def chain_detector(path: str | Path) -> tuple[str, list[Any]]:
    """Detector and enhancers of a chain JSON that was given as ``model=``.

    Raises:
        ConfigError: No chain, or one without a detector.
    """
    path = Path(path)
    found = read_chain_json(path)
    if found.model is None:
        raise ConfigError(f"{path} names no detector; pass it as enhance=, or export one with a detector.")
    return str(path.parent / found.model), [path]
