"""Anomaly detection in cubes without learning: what the background is like is measured on the scene itself."""

from rsdet.classical.anomaly.background import Background
from rsdet.classical.anomaly.crd import CRD
from rsdet.classical.anomaly.local_rx import LocalRX
from rsdet.classical.anomaly.rx import RX, LowRank

METHODS: dict[str, type[RX | LowRank | LocalRX | CRD]] = {"RX": RX, "LowRank": LowRank, "LocalRX": LocalRX, "CRD": CRD}
"""By the name that model YAMLs have for them."""

__all__ = ["CRD", "METHODS", "RX", "Background", "LocalRX", "LowRank"]
