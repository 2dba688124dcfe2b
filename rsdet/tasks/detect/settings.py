"""Settings that :class:`rsdet.RSDet` fills in for detectors: where data lie, what is kept, where numbers go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ultralytics.utils import DEFAULT_CFG_DICT, LOGGER

from rsdet.errors import ConfigError, nearest
from rsdet.metrics.detection_areas import PROTOCOLS, Protocol, get_protocol, protocols_for
from rsdet.textfiles import read_yaml


def sar_settings(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Augmentation for data with a ``sar:`` section, as far as neither the user nor the recipe says otherwise."""
    if not read_yaml(Path(kwargs["data"])).get("sar"):
        return {}
    from rsdet.data.sar.augment import SAR_TRAINING_DEFAULTS

    settings = {k: v for k, v in SAR_TRAINING_DEFAULTS.items() if k not in kwargs}
    if settings:
        LOGGER.info("SAR data: " + ", ".join(f"{k}={v}" for k, v in settings.items()))
    return settings


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


def max_det(rule: Protocol | None, nq: int = 0) -> int:
    """Boxes per image that a validation keeps."""
    # Keep enough for every reader of the detections: Ultralytics' own table, the queries, the protocol's largest cap.
    return max(DEFAULT_CFG_DICT["max_det"], rule.max_dets[-1] if rule else 0, nq)


def save_val(validator: Any) -> None:
    """Write the numbers of a protocol into the folder of the run."""
    metrics = getattr(validator, "protocol_metrics", None)
    if metrics is None:
        return
    protocol = metrics.protocol.name
    folder = Path(validator.save_dir)
    metrics.to_json(folder / f"metrics-{protocol}.json")
    metrics.to_csv(folder / f"metrics-{protocol}.csv")
    LOGGER.info(f"Protocol numbers saved to {folder / f'metrics-{protocol}.json'} and .csv")
