"""A small SSA-Net, and rendered places on two dates."""

from __future__ import annotations

from change_fakes import TRAIN, data_yaml, enlivened, model_yaml
from contract_case import Case

CASE = Case(
    model_yaml=model_yaml,
    data_yaml=data_yaml,
    source=lambda data: data.parent / "val",
    lively=enlivened,
    size=64,
    own_key="dice",
    train={k: v for k, v in TRAIN.items() if k not in ("epochs", "plots")},
)
