"""NIQE against the values that another implementation gives (tests/data/niqe/make.py)."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from rsdet.metrics.niqe import NiqeModel, features, niqe

DATA = Path(__file__).parents[1] / "data" / "niqe"


@pytest.fixture(scope="module")
def stored() -> tuple[np.ndarray, dict]:
    picture = cv2.imread(str(DATA / "picture.png"), cv2.IMREAD_GRAYSCALE)
    return picture[..., None] / 255, json.loads((DATA / "reference.json").read_text())


def test_features_are_those_of_basicsr(stored):
    picture, want = stored
    found, _ = features(picture)
    columns_first = found.reshape(2, 3, 36).swapaxes(0, 1).reshape(-1, 36)
    # Half the size is made in single precision there, and the shapes are a grid with steps of a thousandth.
    np.testing.assert_allclose(columns_first, want["features"], rtol=2e-3, atol=2e-3)
    four = np.array(want["features"])[:, 2:18].reshape(-1, 4, 4)  # or the directions could be exchanged
    assert np.abs(four[:, 0] - four[:, 1]).max() > 0.02
    assert np.abs(four[:, 2] - four[:, 3]).max() > 0.02


def test_the_score_is_that_of_basicsr(stored):
    picture, want = stored
    model = NiqeModel(np.array(want["mean"]), np.diag(want["variance"]), "stored")
    assert niqe(picture, model) == pytest.approx(want["score"], rel=2e-3)
