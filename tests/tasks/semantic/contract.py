"""Two convolutions, and rendered scenes with maps."""

from __future__ import annotations

from contract_case import Case
from semantic_fakes import TRAIN, data_yaml, enlivened, model_yaml

CASE = Case(
    model_yaml=model_yaml,
    data_yaml=data_yaml,
    source=lambda data: data.parent / "images" / "val",
    lively=enlivened,
    size=64,
    own_key="method",
    train={k: v for k, v in TRAIN.items() if k not in ("epochs", "plots")},
)
