"""results[0].plot() and save(): all that Ultralytics' have, at the size of the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from ultralytics.engine.results import Results

from rsdet import RSDet
from rsdet.errors import ConfigError, DataError
from rsdet.tasks.detect.predict import DetectResults
from rsdet.tasks.detect.visual import class_colour

BOXES = [[40, 40, 120, 90, 0.91, 0], [200, 60, 290, 140, 0.52, 0], [60, 200, 70, 208, 0.75, 1]]


def result(rows=BOXES, size=(300, 400)):
    """Two cars and a ship on grey."""
    found = Results(
        np.full((*size, 3), 100, np.uint8), "some/where.jpg", {0: "car", 1: "ship"}, boxes=torch.tensor(rows)
    )
    found.__class__ = DetectResults
    return found


def changed(a, b):
    return (np.asarray(a) != np.asarray(b)).any(2)


@pytest.mark.parametrize("size", [(300, 400), (64, 64), (1080, 1920), (47, 53)])
def test_the_picture_keeps_its_size_and_is_not_changed(size):
    r = result(size=size)
    out = r.plot()
    assert (out.shape, out.dtype) == ((*size, 3), np.uint8)
    assert (r.orig_img == 100).all()
    assert changed(out, r.orig_img).any()


def test_every_argument_of_ultralytics_is_taken_in_its_order():
    import inspect

    theirs = list(inspect.signature(Results.plot).parameters)
    assert list(inspect.signature(DetectResults.plot).parameters) == theirs


def test_boxes_labels_and_scores_are_switched_off_one_by_one():
    r = result()
    bare, names, numbers, both = (r.plot(labels=x, conf=y) for x, y in ((0, 0), (1, 0), (0, 1), (1, 1)))
    assert (r.plot(boxes=False) == 100).all()
    assert changed(bare, r.orig_img)[39, 60]  # the outline
    assert changed(names, bare).any()
    assert changed(numbers, bare).any()
    assert changed(names, numbers).any()
    assert changed(both, bare).sum() > max(changed(names, bare).sum(), changed(numbers, bare).sum())
    r.plot(boxes=False)[:] = 0  # a copy
    assert (r.orig_img == 100).all()


def test_line_width_font_size_and_colour_of_text():
    r = result()
    wide = r.plot(line_width=5, labels=False, conf=False)
    assert (wide[60, 35:40] == class_colour(0)[::-1]).all()
    assert (wide[60, 33] == 100).all()
    assert (r.plot(line_width=0.4, labels=False, conf=False)[60, 39] == class_colour(0)[::-1]).all()
    bare = r.plot(labels=False, conf=False)
    assert changed(r.plot(font_size=30), bare).sum() > 2 * changed(r.plot(font_size=10), bare).sum()
    red = r.plot(txt_color=(0, 0, 255), font_size=30)
    assert (red == [0, 0, 255]).all(2).any()
    assert changed(r.plot(font="DejaVuSans.ttf", font_size=20), bare).any()


def test_colours_of_objects_instead_of_classes():
    r = result()
    plain, own = (r.plot(color_mode=m, labels=False, conf=False) for m in ("class", "instance"))
    assert plain[39, 60].tolist() == plain[59, 220].tolist() == list(class_colour(0)[::-1])
    assert own[39, 60].tolist() == list(class_colour(0)[::-1])
    assert own[59, 220].tolist() == list(class_colour(1)[::-1])
    with pytest.raises(ConfigError, match="color_mode='rainbow'"):
        r.plot(color_mode="rainbow")


def test_tracks_show_their_numbers_and_colours():
    rows = [[*b[:4], number, *b[4:]] for b, number in zip(BOXES, (7, 2, 5), strict=True)]
    r = result(rows)
    assert changed(r.plot(conf=False), result().plot(conf=False)).any()
    assert r.plot(color_mode="instance", labels=False, conf=False)[39, 60].tolist() == list(class_colour(7)[::-1])


def test_other_pictures_to_draw_on():
    r = result()
    other = np.full((300, 400, 3), 7, np.uint8)
    assert r.plot(img=other)[0, 0].tolist() == [7, 7, 7]
    assert (other == 7).all()
    assert np.array_equal(r.plot(img=torch.from_numpy(other)), r.plot(img=other))
    r.orig_img = torch.full((1, 3, 300, 400), 0.5)  # as after a prediction on a tensor
    assert r.plot().shape == (300, 400, 3)
    assert r.plot()[0, 0].tolist() == [127, 127, 127]


def test_pillow_pictures_and_windows(monkeypatch):
    opened = []
    monkeypatch.setattr(Image.Image, "show", lambda self, title=None: opened.append((self, title)))
    r = result()
    image = r.plot(pil=True)
    assert isinstance(image, Image.Image)
    assert np.array_equal(np.asarray(image)[..., ::-1], r.plot())  # RGB
    assert not opened
    r.show()
    assert isinstance(r.plot(show=True), np.ndarray)
    assert [title for _, title in opened] == ["some/where.jpg"] * 2
    assert np.array_equal(np.asarray(opened[0][0]), np.asarray(image))


def test_saving(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    r = result()
    r.plot(save=True, filename=str(tmp_path / "a.png"))
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png")), r.plot())
    assert r.save("deep/er/b.png", conf=False) == "deep/er/b.png"
    assert np.array_equal(cv2.imread("deep/er/b.png"), r.plot(conf=False))
    assert r.save() == "results_where.jpg"
    assert cv2.imread("results_where.jpg").shape == (300, 400, 3)
    with pytest.raises(DataError, match=r"c\.npy does not end as a picture"):
        r.save("c.npy")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "deep", "results_where.jpg"]


def test_parts_of_a_result_are_drawn_alike():
    r = result()
    for part in (r.cpu(), r.numpy(), r[[0, 1, 2]]):
        assert np.array_equal(part.plot(), r.plot())
    assert changed(r[0].plot(), r.plot()).any()


def test_key_points_are_drawn_by_ultralytics():
    r = result()
    r.update(keypoints=torch.full((3, 5, 2), 50.0))
    theirs = Results(r.orig_img, r.path, r.names, boxes=r.boxes.data, keypoints=r.keypoints.data)
    assert np.array_equal(r.plot(), theirs.plot())


def test_masks_stand_in_the_place_of_their_boxes():
    r = result()
    masks = torch.zeros(3, 300, 400)
    masks[0, 50:80, 50:110] = 1
    r.update(masks=masks)
    bare = r.plot(labels=False, conf=False)
    assert changed(bare, r.orig_img)[49, 60]  # the outline of the mask
    assert not changed(bare, r.orig_img)[39, 60]  # and not that of its box
    assert np.array_equal(r.plot(boxes=False), bare)
    assert np.array_equal(r.plot(masks=False), result().plot())


def test_turned_boxes_have_labels_and_numbers_of_tracks():
    boxes = torch.tensor([[200.0, 150.0, 120.0, 30.0, 0.6, 7, 0.9, 1]])
    r = Results(np.full((300, 400, 3), 100, np.uint8), "a.jpg", {0: "car", 1: "ship"}, obb=boxes)
    r.__class__ = DetectResults
    bare = r.plot(labels=False, conf=False)
    lined = np.argwhere(changed(bare, r.orig_img))
    assert not changed(bare, r.orig_img)[150, 200]
    along = (lined[:, ::-1] + 0.5 - [200, 150]) @ np.array([[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]])
    beyond = np.maximum(np.abs(along[:, 0]) - 60, np.abs(along[:, 1]) - 15)  # px outside of the box
    assert beyond.min() > -1
    assert beyond.max() < 4
    assert changed(r.plot(), bare).any()


def video(path, size):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, size)
    for k in range(3):
        writer.write(np.full((size[1], size[0], 3), 40 * k + 40, np.uint8))
    writer.release()
    return path


def frames(path):
    reader = cv2.VideoCapture(str(path))
    found = []
    while (frame := reader.read())[0]:
        found.append(frame[1].shape[:2])
    return found


def test_the_everyday_video_loop_writes_a_readable_video(tiny_weights, tmp_path):
    source = video(tmp_path / "in.avi", (160, 96))
    out = cv2.VideoWriter(str(tmp_path / "out.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (160, 96))
    given = dict(imgsz=96, conf=0.01, verbose=False, project=tmp_path / "runs")
    for r in RSDet(tiny_weights).predict(source, stream=True, save=True, **given):
        out.write(r.plot())
    out.release()
    assert frames(tmp_path / "out.avi") == [(96, 160)] * 3
    assert frames(tmp_path / "runs" / "predict" / "in.avi") == [(96, 160)] * 3  # nor has the saved one a legend


def test_files_that_predict_saves_have_the_legend_and_results_have_not(tiny_weights, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((96, 160, 3), 90, np.uint8))
    (r,) = RSDet(tiny_weights).predict(
        tmp_path / "a.png", imgsz=96, conf=0.01, save=True, verbose=False, project=tmp_path / "runs"
    )
    saved = cv2.imread(str(tmp_path / "runs" / "predict" / "a.jpg"))
    assert saved.shape[1] == 480
    assert saved.shape[0] > 288
    assert r.plot().shape == (96, 160, 3)
