"""A tiny network, and fields of three spectra."""

from __future__ import annotations

from contract_case import Case
from landcover_fakes import TRAIN, enlivened, model_yaml, write_scene

CASE = Case(
    model_yaml=model_yaml,
    data_yaml=write_scene,
    source=lambda data: data,
    lively=enlivened,
    size=3,
    own_key="lidar_dropout",
    train={k: v for k, v in TRAIN.items() if k != "plots"},
)
