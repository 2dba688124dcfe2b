"""Masks of objects: written, read, chosen; and files that are none."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from rsdet.data.run_lengths import decode_runs
from rsdet.data.semi import mask_sources
from rsdet.data.semi.mask_sources import check_pastable, make_object_masks
from rsdet.data.semi.object_masks import ObjectChoice, decoded, read_object_masks, write_object_masks
from rsdet.data.semi.regions import LARGEST, SMALLEST
from rsdet.errors import ConfigError, DataError

RNG = np.random.default_rng
SIZE = (120, 160)


def disc(radius: int, x: int = 80, y: int = 60) -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def test_run_lengths_are_those_of_coco():
    coco = pytest.importorskip("pycocotools.mask")
    rng = RNG(0)
    for _ in range(60):
        h, w = (int(n) for n in rng.integers(1, 50, 2))
        mask = rng.random((h, w)) < rng.random()
        text = coco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
        assert np.array_equal(decode_runs({"size": [h, w], "counts": text}, (h, w)), mask)
    wide = np.zeros((300, 300), bool)
    wide[100:, 50:280] = True
    text = coco.encode(np.asfortranarray(wide, np.uint8))["counts"].decode()
    assert np.array_equal(decode_runs({"size": [300, 300], "counts": text}, (300, 300)), wide)
    assert decode_runs({"size": [2, 2], "counts": [1, 2, 1]}, (2, 2)).tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    "counts", ["", "o" * 40, "o", "\x00", "é", "00", [4], [5], [-1, 5], ["4"], [1.5, 2.5], None, {"a": 1}, "PPPPP"]
)
def test_wrong_run_lengths_are_refused_and_write_nowhere(counts):
    right = counts == [4]
    if right:
        assert not decode_runs({"size": [2, 2], "counts": counts}, (2, 2)).any()
        return
    with pytest.raises(ValueError, match=r"run|text"):
        decode_runs({"size": [2, 2], "counts": counts}, (2, 2))


def test_a_choice_looks_at_score_and_size_and_at_no_more_than_the_best(tmp_path):
    masks = [disc(2), disc(20), disc(15), disc(55), disc(10)]
    path = write_object_masks(tmp_path / "a.json", masks, [0.99, 0.98, 0.9, 0.995, 0.97])
    assert [e["predicted_iou"] for e in read_object_masks(path)] == [0.995, 0.99, 0.98, 0.97, 0.9]
    areas = {int(ObjectChoice().draw(path, SIZE, RNG(s)).sum()) for s in range(20)}
    assert len(areas) == 2  # the discs of 10 and 20 px: others are unsure, too small or too large
    assert all(min(abs(a - disc(r).sum()) for r in (10, 20)) < 30 for a in areas)
    assert not ObjectChoice(best=2).draw(path, SIZE, RNG(0)).any()
    assert not ObjectChoice(min_score=0.999).draw(path, SIZE, RNG(0)).any()
    write_object_masks(path, [disc(r) for r in (10, 20, 15)], [1.0] * 3)  # superpixels, each as good as the other
    assert len({int(ObjectChoice(best=1).draw(path, SIZE, RNG(s)).sum()) for s in range(20)}) == 3


def test_outlines_are_smoothed(tmp_path):
    ragged = disc(25) & (RNG(0).random(SIZE) < 0.9) | (RNG(1).random(SIZE) < 0.02)
    path = write_object_masks(tmp_path / "a.json", [ragged], [1.0])
    smooth = ObjectChoice(largest=1).draw(path, SIZE, RNG(0))
    assert (smooth != disc(25)).sum() < (ragged != disc(25)).sum() / 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "no list of masks"), ('[{"area": 3}]', "no list of masks"), ("[1", "not JSON"),
        ('[{"segmentation": {"size": [9, 9], "counts": [81]}, "predicted_iou": 1}]', r"\[9, 9\]"),
        ('[{"segmentation": {"size": [120, 160], "counts": "o"}, "predicted_iou": 1}]', "cut short"),
        ('[{"segmentation": 7, "predicted_iou": 1}]', "run lengths"),
    ],
)  # fmt: skip
def test_files_that_hold_no_masks(tmp_path, content, says):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=says) as e:
        ObjectChoice().draw(tmp_path / "a.json", SIZE, RNG(0))
    assert "rsdet masks" in str(e.value)


def test_superpixels_of_a_picture_are_written_once(tmp_path):
    pytest.importorskip("skimage")
    picture = np.full((*SIZE, 3), 90, np.uint8)
    picture[disc(18)] = (200, 120, 40)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    [(file, count)] = make_object_masks([tmp_path / "a.png"], tmp_path / "masks")
    assert count >= 1
    masks = [decoded(e, SIZE, file) for e in read_object_masks(file)]
    assert all(SMALLEST <= m.mean() <= LARGEST for m in masks)
    assert max((m & disc(18)).sum() / (m | disc(18)).sum() for m in masks) > 0.7
    assert list(make_object_masks([tmp_path / "a.png"], tmp_path / "masks")) == [(file, -1)]


def test_segment_anything_is_asked_for_all_objects(tmp_path, monkeypatch):
    import torch
    import ultralytics
    from ultralytics.engine.results import Results

    class Fake:
        def __init__(self, weights: str):
            assert weights == "mine.pt"

        def __call__(self, picture: np.ndarray, verbose: bool) -> list[Results]:
            masks = torch.from_numpy(np.stack([disc(5), disc(20)])).float()
            boxes = torch.tensor([[0, 0, 9, 9, 0.8, 0.0], [0, 0, 9, 9, 0.99, 0.0]])
            return [Results(picture, "", {0: "0"}, boxes=boxes, masks=masks)]

    monkeypatch.setattr(ultralytics, "SAM", Fake, raising=False)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((*SIZE, 3), np.uint8))
    [(file, count)] = make_object_masks([tmp_path / "a.png"], tmp_path, "sam", "mine.pt")
    assert count == 2
    entries = json.loads(file.read_text())
    assert entries[0]["predicted_iou"] == pytest.approx(0.99)
    assert entries[0]["area"] == disc(20).sum()


def test_wrong_calls(tmp_path):
    with pytest.raises(ConfigError, match=r"superpixel, sam.*superpixel"):
        list(make_object_masks([], tmp_path, "superpixels"))
    with pytest.raises(ConfigError, match="one name"):
        mask_sources.mask_files([tmp_path / "a.png", tmp_path / "b" / "a.jpg"], tmp_path)
    with pytest.raises(ConfigError, match="0 to 1"):
        ObjectChoice(min_score=2)


def test_masks_of_which_nothing_could_be_pasted_are_refused(tmp_path):
    pictures = [tmp_path / "a.png", tmp_path / "b.png"]
    with pytest.raises(DataError, match=r"no file of any of the 2 pictures, such as a\.json"):
        check_pastable(pictures, tmp_path, ObjectChoice())
    write_object_masks(tmp_path / "b.json", [disc(20)], [0.6])
    with pytest.raises(DataError, match=r"score of 0\.97.*mask_source=fastsam"):
        check_pastable(pictures, tmp_path, ObjectChoice())
    assert check_pastable(pictures, tmp_path, ObjectChoice(min_score=0.5)) == 1
