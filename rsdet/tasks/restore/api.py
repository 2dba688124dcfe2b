"""What the methods of :class:`rsdet.RSDet` do for a model that restores pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ultralytics.cfg import TASK2DATA
from ultralytics.utils import DEFAULT_CFG_DICT, LOGGER

from rsdet.arguments import check_restore_values, loss_terms
from rsdet.data.resolve import resolve_data
from rsdet.errors import ConfigError
from rsdet.modelyaml import LAYERLESS
from rsdet.tasks.restore.predict import RestorePredict
from rsdet.tasks.restore.train import USUAL
from rsdet.tasks.restore.val import RestoreVal

TASK2DATA.setdefault("restore", None)  # Ultralytics looks up a default set for each task; data= is always given

_PREDICT_ONLY = ("tile", "overlap", "bands", "value_range", "save_routes")
_VAL_ONLY = ("metrics", "niqe", "tile", "overlap")


def check_trainable(native: Any) -> None:
    """Refuse to train a network without weights.

    Raises:
        ConfigError: It has none.
    """
    if not any(True for _ in native.parameters()):
        name = native.yaml.get("network")
        raise ConfigError(f"{name} has no weights, so there is nothing to train; use val, predict or another model.")


def train_settings(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Settings of a training: what the user and the recipe say, else what is usual for this task.

    Raises:
        ConfigError: A value out of its range.
    """
    kwargs = {**USUAL, **kwargs}
    check_restore_values(kwargs)
    kwargs["loss"] = loss_terms(kwargs.get("loss"))
    kwargs.setdefault("nbs", max(1, int(kwargs["batch"])))  # a step after each batch; Ultralytics' 64 is for detectors
    if not isinstance(kwargs["batch"], int) or kwargs["batch"] < 1:
        raise ConfigError(f"batch={kwargs['batch']!r} must be a whole number of 1 or more for this task; e.g. batch=8.")
    return kwargs


def val(model: Any, validator: type | None, data: Any, kwargs: dict[str, Any]) -> Any:
    """Measure PSNR, SSIM and what else is asked for; see :meth:`rsdet.RSDet.val`."""
    model.check_trained("val")  # before data are fetched
    if data is None and (data := model.overrides.get("data")) is None:  # that of the training
        raise ConfigError("val needs data=; pass a data YAML of pairs, such as data=rice1.yaml or data=demo-haze.")
    ours = {k: v for k in _VAL_ONLY if (v := kwargs.pop(k, None)) is not None}
    args = {
        **_kept(model),
        "plots": True,
        **_precision(kwargs),
        "data": str(resolve_data(data, "restore")),
        "mode": "val",
    }
    chosen = (validator or RestoreVal)(args=args, _callbacks=model.callbacks, **ours)
    chosen(model=_native(model))
    model.metrics = chosen.metrics
    return chosen.metrics


def predict(
    model: Any, source: Any, stream: bool, predictor: type | None, kwargs: dict[str, Any]
) -> Iterator[Any] | list[Any]:
    """Restore pictures; see :meth:`rsdet.RSDet.predict`."""
    model.check_trained("predict")
    ours = {k: v for k in _PREDICT_ONLY if (v := kwargs.pop(k, None)) is not None}
    args = {**_kept(model), "save": False, **_precision(kwargs), "mode": "predict"}
    model.predictor = (predictor or RestorePredict)(overrides=args, _callbacks=model.callbacks, **ours)
    model.predictor.setup_model(_native(model))
    results = _noting(model, model.predictor(source, stream=True))
    return results if stream else list(results)


def _noting(model: Any, results: Iterator[Any]) -> Iterator[Any]:
    from rsdet.usererrors import user_errors

    with user_errors():
        yield from results
    model.skipped = model.predictor.skipped


def info(model: Any, verbose: bool) -> dict[str, Any] | None:
    """Say what a network is, before its operations are counted; all there is to say of a method without layers."""
    if verbose and hasattr(model.model, "describe"):
        LOGGER.info(model.model.describe())
    if model.family in LAYERLESS:
        return {"params": 0, "gflops_legacy": None, "gflops_true": None}  # operations depend on the image
    return None


def _native(model: Any) -> Any:
    """The network, the method, or the function that an exported file is."""
    if isinstance(model.model, (str, Path)):
        from rsdet.enhance.artifact import ArtifactEnhancer

        return ArtifactEnhancer(model.model)
    return model.model


def _kept(model: Any) -> dict[str, Any]:
    return {k: v for k, v in model.overrides.items() if k in DEFAULT_CFG_DICT and k not in ("data", "imgsz")}


def _precision(kwargs: dict[str, Any]) -> dict[str, Any]:
    kwargs = dict(kwargs)
    if kwargs.pop("half", False):
        kwargs["quantize"] = 16
    return kwargs
