"""Drawing: nothing of the input is changed, tiny objects stay visible, odd images and names work."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rsdet.errors import DataError
from rsdet.geometry import xywhr_to_corners
from rsdet.runtime.masks import Mask
from rsdet.tasks.detect import lettering
from rsdet.tasks.detect.visual import class_colour, draw, to_display

NAMES = ["car", "ship", "plane"]


def grey(h=600, w=800, value=100):
    return np.full((h, w, 3), value, dtype=np.uint8)


def bgr(class_id):
    return list(class_colour(class_id)[::-1])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64, bool])
@pytest.mark.parametrize("shape", [(600, 700), (600, 700, 1), (600, 700, 3), (600, 700, 4)])
def test_any_image_is_drawn_and_left_untouched(dtype, shape):
    image = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    image.flags.writeable = False
    before = image.copy()
    boxes = np.array([[10.0, 10.0, 20.0, 20.0]])
    out = draw(image, boxes, [0.5], [1], NAMES, legend=False)
    assert (out.shape, out.dtype) == ((600, 700, 3), np.uint8)
    assert out[9, 9].tolist() == bgr(1)
    assert np.array_equal(image, before)
    assert boxes.tolist() == [[10, 10, 20, 20]]


def test_a_small_object_gets_one_pixel_around_it_and_none_over_it():
    out = draw(grey(), [[100, 200, 110, 206]], [0.9], [0], NAMES, labels="none", legend=False)
    for y, x in ((199, 99), (199, 110), (206, 99), (206, 110), (199, 105), (203, 99)):
        assert out[y, x].tolist() == bgr(0)
    assert (out[200:206, 100:110] == 100).all()
    assert (out[:197] == 100).all()


@pytest.mark.parametrize(
    ("size", "side", "line", "want"),
    [
        ((600, 800), 10, None, 1),
        ((600, 800), 200, None, 1),
        ((1080, 1920), 10, None, 1),
        ((1080, 1920), 200, None, 2),
        ((2000, 4000), 40, None, 1),  # small against the picture
        ((2000, 4000), 400, None, 3),
        ((600, 800), 10, 4, 4),
    ],
)
def test_line_width_follows_object_and_picture(size, side, line, want):
    out = draw(
        grey(*size), [[100, 100, 100 + side, 100 + side]], [1.0], [2], NAMES, labels="none", legend=False, line=line
    )
    row = out[100 + side // 2, : 100 + side // 2]
    assert (row == bgr(2)).all(1).sum() == want


@pytest.mark.parametrize(
    ("size", "want"),
    [((600, 800), (600, 800)), ((480, 20), (480, 20)), ((64, 48), (512, 384)), ((200, 300), (400, 600))],
)
def test_only_tiny_pictures_are_enlarged_by_a_whole_factor(size, want):
    out = draw(grey(*size), [[4, 4, 12, 12]], [0.9], [0], NAMES, labels="none", legend=False)
    assert out.shape == (*want, 3)
    k = want[0] // size[0]
    assert out[4 * k - 1, 4 * k - 1].tolist() == bgr(0)
    assert out[12 * k, 12 * k].tolist() == bgr(0)


def test_legend_is_outside_the_picture():
    boxes, args = [[10, 10, 30, 30], [50, 50, 90, 90]], ([0.9, 0.8], [0, 1], NAMES)
    bare = draw(grey(), boxes, *args, labels="none", legend=False)
    full = draw(grey(), boxes, *args, labels="none")
    assert np.array_equal(full[:600], bare)
    strip = full[600:]
    assert 15 < len(strip) < 60
    for class_id, present in ((0, True), (1, True), (2, False)):
        assert (strip == bgr(class_id)).all(2).any() == present


def test_legend_wraps_and_shortens_on_narrow_pictures():
    names = {i: f"a rather long class name {i}" for i in range(12)}
    boxes = [[5, 5 + 9 * i, 12, 12 + 9 * i] for i in range(12)]
    out = draw(grey(500, 120), boxes, [0.5] * 12, range(12), names)
    assert out.shape[1] == 120
    assert out.shape[0] > 500 + 12 * 12  # one row each
    draw(grey(600, 8), boxes, [0.5] * 12, range(12), names)  # no room for any text at all


def test_no_boxes():
    out = draw(grey(), np.zeros((0, 4)), [], [], NAMES)
    assert (out[:600] == 100).all()
    assert out[600:].max() > 100  # the strip says that there are none
    assert np.array_equal(draw(grey(), [], None, [], NAMES, legend=False), grey())


def test_five_hundred_boxes_carry_no_text_and_stay_visible():
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 780, (500, 2)) * [1, 0.7]
    boxes = np.concatenate([xy, xy + rng.uniform(4, 16, (500, 2))], axis=1)
    classes = rng.integers(0, 3, 500)
    auto = draw(grey(), boxes, rng.random(500), classes, NAMES)
    assert np.array_equal(auto, draw(grey(), boxes, None, classes, NAMES, labels="none"))
    for c in range(3):
        assert (auto[:600] == bgr(c)).all(2).sum() > 500


def changed(labels, boxes, **more):
    """Where labels change the picture."""
    n = len(boxes)
    with_text, without = (
        draw(grey(), boxes, np.linspace(0.9, 0.5, n), [0] * n, NAMES, labels=mode, legend=False, **more)
        for mode in (labels, "none")
    )
    return (with_text != without).any(2)


def test_auto_labels_cover_no_box():
    boxes = np.array([[100, 100, 200, 150], [100, 152, 200, 200], [400, 300, 408, 308], [560, 585, 640, 600]])
    mask = changed("auto", boxes)
    assert mask.any()
    for x1, y1, x2, y2 in boxes:
        assert not mask[y1:y2, x1:x2].any()


def test_auto_leaves_out_what_all_writes():
    crowd = [[100 + 12 * i, 100 + 12 * j, 110 + 12 * i, 110 + 12 * j] for i in range(8) for j in range(8)]
    assert not changed("auto", crowd).any()
    assert changed("all", crowd).sum() > changed("all", crowd, max_labels=3).sum() > 0


def test_labels_stay_on_the_picture_at_every_rim():
    boxes = [[0, 0, 40, 20], [760, 0, 800, 20], [0, 580, 40, 600], [760, 580, 800, 600]]
    mask = changed("auto", boxes)
    for rows in (slice(0, 100), slice(500, 600)):
        for columns in (slice(0, 200), slice(600, 800)):
            assert mask[rows, columns].any()


@pytest.mark.parametrize(
    "box", [[-50, -50, 30, 30], [790, 590, 900, 900], [-1e9, -1e9, 1e9, 1e9], [900, 900, 950, 950], [-9, -9, -1, -1]]
)
def test_boxes_outside_the_picture_are_cut_off(box):
    out = draw(grey(), [box], [0.9], [0], NAMES, legend=False, labels="none")
    touches = box[0] < 800 and box[2] > 0
    assert (out == bgr(0)).all(2).any() == touches


def test_a_box_as_large_as_the_picture_is_visible():
    out = draw(grey(), [[0, 0, 800, 600]], [0.9], [0], NAMES, legend=False, labels="none")
    for y, x in ((0, 0), (0, 799), (599, 0), (599, 799), (300, 0), (300, 799)):
        assert out[y, x].tolist() == bgr(0)


@pytest.mark.parametrize("name", ["voiture à toit", "машина", "船舶", "سفينة", "🚢", ""])
def test_unicode_names(name):
    box = [[100, 100, 250, 200]]
    out = draw(grey(), box, [0.9], [0], {0: name}, labels="all")
    assert out[99, 99].tolist() == bgr(0)
    if name == "машина":  # drawn as letters, not all as the same "unknown" box
        texts = [draw(grey(), box, [0.9], [0], {0: n})[600:] for n in ("машина", "шашина")]
        assert not np.array_equal(*texts)


def test_a_class_without_a_name_is_written_as_its_number():
    out = [draw(grey(), [[9, 9, 99, 99]], [0.9], [7], names) for names in (NAMES, {}, {7: "7"})]
    assert np.array_equal(out[0], out[2])
    assert np.array_equal(out[1], out[2])


def test_truth_is_drawn_as_white_corners():
    out = draw(grey(), [], [], [], NAMES, truth_boxes=[[100, 100, 200, 200]], legend=False)
    assert out[99, 99].tolist() == [255, 255, 255]
    assert out[99, 150].tolist() == [100, 100, 100]


def test_stretch_uses_percentiles_and_survives_nan():
    image = np.linspace(0, 60000, 600 * 600).reshape(600, 600).astype(np.uint16)
    shown = to_display(image)
    assert (shown.min(), shown.max()) == (0, 255)
    assert 126 <= shown[300, 0, 0] <= 129
    broken = image.astype(np.float32)
    broken[5, 5], broken[6, 6] = np.nan, np.inf
    assert to_display(broken)[5, 5].tolist() == to_display(broken)[6, 6].tolist() == [0, 0, 0]
    assert to_display(np.full((5, 5), 7.0)).max() == 0  # nothing to stretch, nothing divided by zero
    assert to_display(np.full((5, 5), np.nan)).max() == 0


def test_colours_are_told_apart():
    colours = [class_colour(i) for i in range(21)]
    assert len(set(colours)) == 21
    assert class_colour(21) == class_colour(0)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (dict(labels="some"), "labels must be"),
        (dict(image=np.zeros((9, 9, 7, 1))), r"\(9, 9, 7, 1\)"),
        (dict(image=np.zeros((0, 9))), "shape"),
        (dict(scores=[0.1, 0.2]), "1 boxes, 2 scores"),
        (dict(boxes_xyxy=[[0, 0, float("nan"), 1]]), r"boxes_xyxy\[0\]"),
        (dict(boxes_xyxy=[[5, 5, 1, 9]]), r"boxes_xyxy\[0\]"),
        (dict(truth_boxes=[[5, 5, 1]]), r"truth_boxes.*\(1, 3\)"),
        (dict(corners=[[1, 1, 9, 9]]), r"corners.*\(1, 4\).*expected finite \(N, 4, 2\)"),
        (dict(corners=[[[1, 1], [9, 1], [9, 9], [1, float("inf")]]]), "corners"),
        (dict(truth_corners=np.zeros((1, 3, 2))), "truth_corners"),
        (dict(masks=[]), "1 boxes, 0 masks"),
    ],
)
def test_user_errors_advise(change, match):
    args = dict(image=grey(), boxes_xyxy=[[1, 1, 5, 5]], scores=[0.5], classes=[0], names=NAMES) | change
    with pytest.raises(DataError, match=match):
        draw(**args)


def test_a_turned_box_is_outlined_outside_of_its_pixels_however_it_is_turned():
    for turn in np.linspace(0, np.pi, 7):
        box = xywhr_to_corners(np.array([[300, 300, 60, 10, turn]]))
        out = draw(grey(), None, [0.9], [0], NAMES, corners=box, labels="none", legend=False)
        y, x = np.nonzero((out != grey()).any(2))
        at = np.c_[x + 0.5 - 300, y + 0.5 - 300] @ np.array(
            [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        )
        beyond = np.maximum(np.abs(at[:, 0]) - 30, np.abs(at[:, 1]) - 5)  # px outside of the box
        assert beyond.min() > -1  # what smoothing adds
        assert beyond.max() < 5
        assert (np.abs(out.astype(int) - class_colour(0)[::-1]).max(2) < 60).sum() > 60  # and stands out


def test_turned_boxes_at_and_beyond_the_rim_and_without_area():
    boxes = [[0, 0, 80, 20, 0.5], [799, 599, 9, 9, 0.1], [-500, 90, 9, 9, 1], [1e9, 0, 1, 1, 0], [50, 50, 0, 0, 0.3],
             [300, 300, 1e7, 3, 0.3]]  # fmt: skip
    corners = xywhr_to_corners(np.array(boxes))
    out = draw(grey(), None, None, [0] * 6, NAMES, corners=corners, truth_corners=corners, legend=False)
    assert out.shape == grey().shape
    assert (out != grey()).any(2)[:20, :20].any()


def test_masks_are_outlined_and_large_ones_tinted():
    small, large = Mask(100, 100, np.ones((6, 6), bool)), Mask(300, 300, np.ones((80, 80), bool))
    beside = Mask(0, 0, np.zeros((0, 0), bool))
    boxes = [[100, 100, 106, 106], [300, 300, 380, 380], [0, 0, 0, 0]]
    out = draw(grey(), boxes, None, [0, 0, 0], NAMES, masks=[small, large, beside], legend=False, labels="none")
    assert (out[100:106, 100:106] == grey()[0, 0]).all()
    assert (out[99, 100:106] == class_colour(0)[::-1]).all()
    assert (out[310:370, 310:370] != grey()[0, 0]).any(2).all()
    assert (out[98, 100:106] < grey()[0, 0]).all()  # the darkened rim
    rim = draw(grey(), [[0, 0, 9, 9]], None, [0], NAMES, masks=[Mask(0, 0, np.ones((9, 9), bool))], legend=False)
    assert (rim[9, :9] == class_colour(0)[::-1]).all()


def test_works_without_any_font_file(monkeypatch):
    monkeypatch.setattr(lettering, "_font_files", lambda: ["no-such-font.ttf"])
    lettering.find_font.cache_clear()
    try:
        assert draw(grey(), [[100, 100, 200, 200]], [0.9], [0], NAMES)[600:].max() > 200
    finally:
        lettering.find_font.cache_clear()


def test_real_infrared_picture(shared_data):
    cv2 = pytest.importorskip("cv2")
    root = shared_data / "hit-uav"
    if not root.is_dir():
        pytest.skip(f"{root} is absent")
    data = json.loads((root / "normal_json" / "annotations" / "val.json").read_text())
    entry = data["images"][0]
    rows = [a for a in data["annotation"] if a["image_id"] == entry["id"]]
    boxes = np.array([a["bbox"] for a in rows], dtype=float)
    boxes[:, 2:] += boxes[:, :2]
    image = cv2.imread(str(root / "images" / "val" / entry["filename"]))
    out = draw(image, boxes, None, [a["category_id"] for a in rows], {})
    assert out.shape[1] == 640
    assert 0 < (out[:512] != image).any(2).mean() < 0.2  # the picture stays recognisable
