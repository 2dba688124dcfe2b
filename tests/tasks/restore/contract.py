"""Two convolutions on top of the identity, and pictures under an even haze."""

from __future__ import annotations

from typing import Any

from contract_case import Case
from restore_fakes import TRAIN, model_yaml, write_pairs
from torch import nn


def lively(model: Any) -> Any:
    nn.init.normal_(model.model.network.b.weight, std=0.05)
    return model


CASE = Case(
    model_yaml=model_yaml,
    data_yaml=write_pairs,
    source=lambda data: data.parent / "val" / "hazy",
    lively=lively,
    size=64,
    own_key="repeats",
    train={k: v for k, v in TRAIN.items() if k not in ("epochs", "plots")},
)
