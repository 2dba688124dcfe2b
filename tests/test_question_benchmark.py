"""The experiment on answers: nothing of the test is trained on, and the page says who is beaten as the answers do."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from rsdet.data.questions.records import Question

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
if not (BENCHMARKS / "questions.py").is_file():
    pytest.skip("benchmarks/ is not part of this copy", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))  # they import each other
try:
    import questions
    import questions_data
    import questions_table
finally:
    sys.path.remove(str(BENCHMARKS))


def row(variant: str, seed: int, right: float, baseline: float, n: int = 200) -> dict:
    """A run on n pictures with a question each, the first part of which is right."""
    asked = [[f"hit-uav/images/{i}.png", "How many cars are in the picture?", "2", "count"] for i in range(n)]
    answers = {name: ["2" if i < part * n else "5" for i in range(n)] for name, part in (
        ("model", right), ("question only", baseline))}  # fmt: skip
    return {
        "run": f"{variant}-{seed}", "variant": variant, "seed": seed, "questions": asked, "answers": answers,
        "confidence": [1 - i / n / 2 for i in range(n)], "ece": {"as trained": 0.1, "with temperature": 0.05},
        "params": 10**6, "router": None, "train_seconds": 1, "cpu_seconds": 60, "hardware": {}, "command": "",
        "settings": {"model": "acr-n.yaml", "epochs": 1, "side": 128},
    }  # fmt: skip


def test_quarters_of_a_picture_are_all_trained_on_or_all_tested(tmp_path):
    for folder in questions_data.THEMES:
        (tmp_path / "rsscn7" / folder).mkdir(parents=True)
        for i in range(9):
            cv2.imwrite(str(tmp_path / "rsscn7" / folder / f"{folder[0]}{i}.jpg"), np.full((8, 8, 3), i, np.uint8))
    found = questions_data._themes(tmp_path / "rsscn7", tmp_path / "images")
    whole = {split: {q.image.split("/")[1].rsplit("-", 1)[0] for q in some} for split, some in found.items()}
    assert not whole["train"] & whole["val"]
    for split, pictures in (("train", 6), ("val", 3)):
        assert set(Counter(q.answer for q in found[split]).values()) == {4 * pictures}
        assert len({q.image for q in found[split]}) == len(found[split]) == 4 * 7 * pictures
        assert all((tmp_path / "images" / q.image).is_file() for q in found[split])


def test_boxes_answer_what_they_can_from_their_confidence_on():
    asked = [
        Question("a", "How many cars are in the picture?", "2", "count"),
        Question("a", "Are there any people in the picture?", "no", "presence"),
        Question("a", "Are there more cars than people in the picture?", "yes", "comparison"),
        Question("b", "How many cars are in the picture?", "1", "count"),
    ]
    boxes = {"a": (np.array([1, 1, 1, 0]), np.array([0.9, 0.5, 0.2, 0.4]))}
    names = {0: "Person", 1: "Car"}
    assert [a for _, a in questions.answered(asked, boxes, names, 0.5)] == ["2", "no"]
    assert [a for _, a in questions.answered(asked, boxes, names, 0.2)] == ["3", "yes"]


def test_the_page_says_who_is_beaten_and_who_is_not(tmp_path):
    rows = [row("full", 0, 0.6, 0.4), row("full", 1, 0.4, 0.4), row("no router", 0, 0.7, 0.4)]
    detector = {
        **row("x", 0, 0.9, 0.0), "run": "detector", "answers": ["2"] * 200, "detector": "yolo26n.yaml", "conf": 0.3,
        "settings": {"detector_epochs": 1, "detector_side": 96},
    }  # fmt: skip
    detector.pop("variant")
    page = questions_table.write([*rows, detector], tmp_path, tmp_path).read_text()
    assert "- **question only** is beaten in 1 of 2 seeds: seed 0 +20.0 points" in page
    assert "- Against **ACR, router off** the whole ACR is NOT better: seed 0 -10.0 points" in page
    assert "| ACR | 2 | 50.0 ± 14.1 |" in page
    assert "| boxes of yolo26n | 200 | 100.0 | 0.00 |" in page
    assert "error 40.0 % where all questions are answered, 33.3 % on the surest 90 %: the goal, half of it" in page


def test_a_page_without_any_run_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="no training"):
        questions_table.write([], tmp_path, tmp_path)
