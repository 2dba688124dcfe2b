"""The smallest SDENet, and a cube with four anomalies."""

from __future__ import annotations

from typing import Any

from anomaly_fakes import TRAIN, model_yaml, scene_yaml
from contract_case import Case
from torch import nn


def lively(model: Any) -> Any:
    nn.init.normal_(model.model.network.out.weight, std=0.05)
    return model


CASE = Case(
    model_yaml=model_yaml,
    data_yaml=scene_yaml,
    source=lambda data: data.with_suffix(".npy"),
    lively=lively,
    size=64,
    own_key="repeats",
    train={k: v for k, v in TRAIN.items() if k not in ("epochs", "plots")},
)
