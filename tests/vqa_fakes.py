"""Coloured squares with questions about them, and a tiny network, so that tests of the task take seconds."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from lively import spread_out
from torch import nn

from rsdet import RSDet
from rsdet.data.questions.records import Question
from rsdet.data.questions.vocabulary import Vocabulary

COLOURS = {"red": (200, 30, 30), "blue": (30, 60, 210)}
TRAIN = dict(batch=8, imgsz=64, lr0=2e-3, workers=0, plots=False, seed=1)


def squares(seed: int, side: int = 64) -> tuple[np.ndarray, dict[str, int]]:
    """A grey picture (side, side, 3) in RGB with up to three squares of each colour, and how many there are."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side, 3), 120, np.uint8) + rng.integers(0, 12, (side, side, 1), np.uint8)
    cell, places = side // 4, rng.permutation(16)
    counts = {colour: int(rng.integers(0, 4)) for colour in COLOURS}
    at = iter(places)
    for colour, count in counts.items():
        for _ in range(count):
            y, x = divmod(int(next(at)), 4)
            picture[y * cell + 2 : (y + 1) * cell - 2, x * cell + 2 : (x + 1) * cell - 2] = COLOURS[colour]
    return picture, counts


def rows_of(name: str, counts: dict[str, int]) -> list[dict[str, str]]:
    """Two questions about each colour: whether there is a square, and how many."""
    rows = []
    for colour, count in counts.items():
        said = "yes" if count else "no"
        rows.append({"image": name, "question": f"Is there a {colour} square?", "answer": said, "type": "presence"})
        asked = f"How many {colour} squares are there?"
        rows.append({"image": name, "question": asked, "answer": str(count), "type": "count"})
    return rows


def write_questions(root: Path, n_train: int = 8, n_val: int = 4, side: int = 64, suffix: str = ".png") -> Path:
    """Pictures and questions in a folder; returns the data YAML."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    for split, first, n in (("train", 0, n_train), ("val", 1000, n_val)):
        rows = []
        for seed in range(first, first + n):
            picture, counts = squares(seed, side)
            assert cv2.imwrite(str(root / "images" / f"{seed}{suffix}"), picture[..., ::-1])
            rows += rows_of(f"{seed}{suffix}", counts)
        (root / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = root / "squares.yaml"
    data.write_text(f"task: vqa\npath: {root}\nimages: images\ntrain: train.jsonl\nval: val.jsonl\n")
    return data


def vocabulary() -> Vocabulary:
    """Words and answers of the questions of eight pictures."""
    rows = [row for seed in range(8) for row in rows_of(f"{seed}.png", squares(seed)[1])]
    return Vocabulary.of([Question(r["image"], r["question"], r["answer"], r["type"]) for r in rows])


def model_yaml(folder: Path, **values: object) -> Path:
    """A model YAML of some thousands of parameters, which knows the words and answers of the questions."""
    given = {"depths": "[1, 1, 1, 1]", "width": 16, "dim": 32, "heads": 2, "layers": 1, "encoder_layers": 1, **values}
    path = folder / "tiny-acr.yaml"
    path.write_text(
        "base: acr-r50.yaml\ntask: vqa\nvars: {block: basic, stride: 16, "
        + ", ".join(f"{k}: {v}" for k, v in given.items())
        + "}\nvocabulary: "
        + json.dumps(vocabulary().as_dict())
        + "\n"
    )
    return path


def enlivened(model: RSDet) -> RSDet:
    """Change weights so that answers differ from question to question and from picture to picture."""
    torch.manual_seed(16)
    network, words = model.model.network, model.model.vocabulary
    for m in network.modules():  # the order of the tests must not say what the router thinks
        if callable(reset := getattr(m, "reset_parameters", None)):
            reset()
    nn.init.normal_(network.question.embedding.weight, std=1.0)
    with torch.no_grad():
        for m in network.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.momentum = 1.0
        x = torch.from_numpy(np.stack([squares(i)[0] for i in range(8)])).permute(0, 3, 1, 2).float() / 255
        model.model.train().encode_image(x)
        asked = [row["question"] for row in rows_of("", squares(0)[1])]
        tokens = torch.from_numpy(words.encode(asked, model.model.length)).repeat(len(x), 1)
        v = model.model.eval().encode_image(x).repeat_interleave(len(asked), 0)
        spread_out(network.router[-1], network.types_of(network.question(tokens)), 1.0)
        for kind, head in enumerate(network.classifiers):
            spread_out(head[-1], network.reason(kind, v, network.question(tokens))[0], 2.0)
    return model
