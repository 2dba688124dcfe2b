"""What :class:`rsdet.RSDet` fills in for detectors: what is usual, what is kept, where numbers go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ultralytics.utils import DEFAULT_CFG_DICT, LOGGER

from rsdet.data.sar.augment import SAR_TRAINING_DEFAULTS, VELOCITY_TRAINING_DEFAULTS
from rsdet.data.sar.stretch import Stretch
from rsdet.errors import ConfigError, nearest
from rsdet.metrics.detection_areas import PROTOCOLS, Protocol, get_protocol, protocols_for
from rsdet.nn.folded_decoder import use_decoder_layers
from rsdet.tasks.detect.thresholds import predict_settings
from rsdet.textfiles import read_yaml


def usual_train(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Determinism, which RT-DETR cannot have, and augmentation for data with a ``sar:`` section."""
    usual: dict[str, Any] = {}
    if model.family == "rtdetr":
        usual["deterministic"] = False  # grid_sample has no deterministic backward
    section = read_yaml(Path(given["data"])).get("sar")
    if not section:
        return usual
    usual_sar = VELOCITY_TRAINING_DEFAULTS if Stretch.from_dict(section).signed else SAR_TRAINING_DEFAULTS
    settings = {k: v for k, v in usual_sar.items() if k not in given}
    if settings:
        LOGGER.info("SAR data: " + ", ".join(f"{k}={v}" for k, v in settings.items()))
    return {**usual, **settings}


def usual_val(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Boxes for every reader of them, and the square input of exported files."""
    task = model.definition
    rule = rule_of(given.get("protocol") or task.protocol, given.get("ignore_regions"), task.shape)
    # Keep enough for every reader of the detections: Ultralytics' own table, the queries, the protocol's largest cap.
    most = max(DEFAULT_CFG_DICT["max_det"], rule.max_dets[-1] if rule else 0, queries_of(model.model))
    return {"max_det": most, "rect": False}


def usual_predict(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The square input of exported files, and the thresholds that a file holds."""
    return {"rect": False, **predict_settings(model.loaded.meta, given, queries_of(model.model))}


def queries_of(model: Any) -> int:
    """Queries of weights of the RT-DETR family, 0 for all else."""
    return getattr(getattr(model, "model", [None])[-1], "num_queries", 0)


def set_queries(model: Any, nq: Any) -> None:
    """Set the number of queries of weights.

    Raises:
        ConfigError: They have none that can be chosen, or it is no number of 1 or more.
    """
    head = getattr(model, "model", [None])[-1]
    if not hasattr(head, "num_queries") or getattr(head, "learnt_init_query", False):
        raise ConfigError("nq= is for PyTorch models of the RT-DETR family with selected queries; leave it out.")
    if not isinstance(nq, int) or nq < 1:
        raise ConfigError(f"nq={nq!r} must be a whole number of 1 or more, such as 300.")
    head.num_queries = nq


def set_decoder_layers(model: Any, layers: Any) -> None:
    """Set how many decoder layers of weights are run.

    Raises:
        ConfigError: They have none, or not so many.
    """
    head = getattr(model, "model", [None])[-1]
    if not hasattr(getattr(head, "decoder", None), "eval_idx"):
        raise ConfigError("decoder_layers= is for PyTorch weights of the RT-DETR family; leave it out.")
    use_decoder_layers(head, layers)


def rule_of(protocol: str, ignore_regions: bool | None, shape: str = "boxes") -> Protocol | None:
    """Return what a validation counts by; None for Ultralytics' own numbers.

    Args:
        protocol: The name.
        ignore_regions: Whether detections in ignored regions are dropped; as the protocol has it where None.
        shape: What is measured, a key of :data:`rsdet.metrics.detection_areas.SHAPES`.

    Raises:
        ConfigError: The protocol is unknown, measures something else, or knows no ignored regions and is to honour
            them.
    """
    known = ["ultralytics", *protocols_for(shape)]
    if protocol not in ("ultralytics", *PROTOCOLS):
        raise ConfigError(f"protocol must be one of {known}, received {protocol!r}.{nearest(protocol, known)}")
    if protocol in PROTOCOLS:
        rule = get_protocol(protocol, shape)
        return rule if ignore_regions is None else rule.with_ignore_regions(ignore_regions)
    if ignore_regions:
        raise ConfigError("ignore_regions=True with protocol=ultralytics, which knows none; use protocol=coco.")
    return None


def save_protocol(metrics: Any, folder: Path) -> None:
    """Write the numbers of a protocol, where there are some, into the folder of the run."""
    if metrics is None:
        return
    protocol = metrics.protocol.name
    metrics.to_json(folder / f"metrics-{protocol}.json")
    metrics.to_csv(folder / f"metrics-{protocol}.csv")
    LOGGER.info(f"Protocol numbers saved to {folder / f'metrics-{protocol}.json'} and .csv")
