"""A tiny network, and coloured squares with questions about them."""

from __future__ import annotations

from contract_case import Case
from vqa_fakes import TRAIN, enlivened, model_yaml, write_questions

CASE = Case(
    model_yaml=model_yaml,
    data_yaml=write_questions,
    source=lambda data: data.parent / "images",
    lively=enlivened,
    size=64,
    own_key="questions_per_image",
    train={k: v for k, v in TRAIN.items() if k != "plots"},
    predict={"question": "How many red squares are there?"},
)
