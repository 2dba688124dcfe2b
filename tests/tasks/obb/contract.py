"""A YOLO of four layers with another head, and rendered scenes with turned rectangles."""

from __future__ import annotations

from conftest import TRAIN
from contract_case import Case
from exported import enlivened, model_yaml

from rsdet.data.demo import make_demo

CASE = Case(
    model_yaml=lambda folder: model_yaml("obb", folder, nc=4),
    data_yaml=lambda folder: make_demo(
        folder / "scenes", n_train=4, n_val=2, size=96, seed=3, progress=False, task="obb"
    ),
    source=lambda data: data.parent / "images" / "val",
    lively=enlivened,
    size=96,
    own_key="rot90",
    train={k: v for k, v in TRAIN.items() if k not in ("exist_ok", "plots")},
)
