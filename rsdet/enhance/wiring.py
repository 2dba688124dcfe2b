"""``enhance=``, ``tile=`` and ``overlap=`` of the methods of :class:`rsdet.RSDet` that detect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rsdet.enhance.chain import EnhanceChain
from rsdet.enhance.chain_json import is_chain_json, read_chain_json
from rsdet.errors import ConfigError

__all__ = [
    "KEYS", "chain_detector", "chain_for", "is_chain_json", "joint_parts", "train_settings", "use_chain", "with_time",
]  # fmt: skip

KEYS = ("enhance", "tile", "overlap")


def chain_for(model: Any, kwargs: dict[str, Any]) -> EnhanceChain | None:
    """Take our keys out of the arguments of a method, and load the chain that they ask for.

    Args:
        model: The detector; a chain that its file names is used unless the arguments name one. ``enhance="none"``
            asks for none.
        kwargs: Arguments of the method; :data:`KEYS` are taken out.

    Raises:
        ConfigError: The chain cannot be loaded, or does not fit the detector.
    """
    given = {k: kwargs.pop(k) for k in KEYS if k in kwargs}
    spec = given.get("enhance")
    if spec is None and "enhance" not in given:
        spec = getattr(model, "_chain", None)
    if spec is None or spec == "none":
        if wrong := [k for k in ("tile", "overlap") if given.get(k) is not None]:
            raise ConfigError(f"{wrong[0]}= cuts pictures for an enhancer, and there is no enhance=; leave it out.")
        return None
    if model.family == "cfar":
        raise ConfigError("enhance= makes 8-bit pictures, CFAR measures the amplitudes of radar files; leave it out.")
    if joint_parts(model):
        raise ConfigError(
            f"{model.model_name} holds the enhancer that it was trained with and would enhance twice; leave it out."
        )
    from rsdet.enhance.loading import load_chain

    chain = load_chain(spec, tile=given.get("tile"), overlap=given.get("overlap"))
    chain.check_detector(model._channels, model.sar)
    return chain


def train_settings(model: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a training with ``enhance=`` and ``freeze=detector`` or ``enhancer`` in terms that a trainer knows.

    Raises:
        ConfigError: Networks that are there already, or values that cannot be.
    """
    from rsdet.enhance.joint import check_spec, joint_networks, read_freeze, spec_text
    from rsdet.enhance.loading import split_spec

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
        joint_networks(
            kwargs["enhance"], model._channels or 3
        )  # now: a training has a folder and a log before it fails
    rows = len(getattr(model.model, "model", []) or [])
    return read_freeze(kwargs, rows, bool(inside or kwargs.get("enhance")))


def joint_parts(model: Any) -> list[dict[str, Any]]:
    """What a detector that was trained together with an enhancer holds: its networks, as the YAML names them."""
    spec = getattr(model.model, "yaml", None)
    return list((spec.get("enhance") or {}).get("networks", [])) if isinstance(spec, dict) else []


def use_chain(predictor: Any, chain: EnhanceChain | None, save_enhanced: bool) -> None:
    """Tell a predictor what enhances in its next run.

    Raises:
        ConfigError: A predictor that knows nothing of it, or pictures to save and nothing that makes them.
    """
    if save_enhanced and chain is None:
        raise ConfigError("save_enhanced=True saves what enhance= makes, and there is no enhance=; leave it out.")
    if hasattr(predictor, "use_chain"):
        predictor.use_chain(None if chain is None else chain.to(predictor.device), save_enhanced)
    elif chain is not None:
        raise ConfigError(
            f"predictor={type(predictor).__name__} cannot enhance; derive it from the predictor of "
            "rsdet.tasks.detect.predict, or leave enhance= out."
        )


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
