"""Labels in pixels of another picture than the file: resized after labelling, or turned by an EXIF orientation.

The reference is the picture itself: an object is painted, Pillow turns the file, and the paint is looked for.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import drops, picture, text
from PIL import Image, ImageOps

from rsdet.data.annotations import Annotation, ImageRecord
from rsdet.data.convert import convert
from rsdet.data.importers import ImportOptions, read_dataset
from rsdet.data.importers._frames import move, same_shape
from rsdet.errors import DataError
from rsdet.geometry import xywhr_to_corners

SIZE = (64, 48)
BOX = (10, 5, 30, 15)


def painted(size: tuple[int, int] = SIZE, box: tuple[int, ...] = BOX) -> Image.Image:
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = 255
    return Image.fromarray(pixels)


def found(image: Image.Image) -> tuple[int, int, int, int]:
    """Edges of the paint."""
    ys, xs = np.nonzero(np.asarray(image.convert("L")) > 127)
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def stored(path: Path, orientation: int, image: Image.Image | None = None) -> tuple[int, int, int, int]:
    """Save a picture with an orientation tag; where the paint is once it is shown."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    image = image or painted()
    image.save(path, exif=exif, **({"quality": 100} if path.suffix == ".jpg" else {}))
    tagged = image.copy()
    tagged.getexif()[0x0112] = orientation
    return found(ImageOps.exif_transpose(tagged))


def coco(root: Path, rows: list[tuple]) -> Path:
    """A COCO file of ``(file name, stated size, box)``."""
    images = [{"id": i, "file_name": n, "width": s[0], "height": s[1]} for i, (n, s, _) in enumerate(rows)]
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": [b[0], b[1], b[2] - b[0], b[3] - b[1]]}
        for i, (_, _, b) in enumerate(rows)
    ]
    text(
        root / "a.json",
        json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "x"}]}),
    )
    return root


def voc(root: Path, rows: list[tuple]) -> Path:
    for name, size, box in rows:
        edges = "".join(f"<{t}>{v}</{t}>" for t, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
        xml = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
        body = f"<annotation>{xml}<object><name>x</name><bndbox>{edges}</bndbox></object></annotation>"
        text(root / f"{Path(name).stem}.xml", body)
    return root


def masks(root: Path, rows: list[tuple]) -> Path:
    for name, size, box in rows:
        path = root / "masks" / f"{Path(name).stem}.png"
        path.parent.mkdir(exist_ok=True)
        painted(size, box).save(path)
    return root


WRITERS = {"coco": coco, "voc": voc, "masks": masks}


def boxes_of(root: Path, format: str) -> dict[str, list]:
    data, _ = read_dataset(root, format, ImportOptions(names=["x"]))
    return {r.stem: [o.xyxy_px for o in r.objects] for r in data.splits.get("train", ())}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
@pytest.mark.parametrize("format", WRITERS)
def test_labels_in_the_stored_frame_are_turned_as_the_picture_is(tmp_path, format, suffix):
    """Orientations 5 to 8 tell by their size that the tool ignored the tag; 2 to 4 of the same source follow them."""
    shown = {f"o{o}": stored(tmp_path / f"images/o{o}{suffix}", o) for o in range(1, 9)}
    WRITERS[format](tmp_path, [(f"o{o}{suffix}", SIZE, BOX) for o in range(1, 9)])
    got = boxes_of(tmp_path, format)
    assert got == {name: [pytest.approx(box, abs=1e-9)] for name, box in shown.items()}
    assert len({tuple(v[0]) for v in got.values()}) == 8  # the object lies elsewhere in each


@pytest.mark.parametrize("format", WRITERS)
def test_labels_in_the_frame_as_shown_stay(tmp_path, format):
    rows = []
    for o in range(1, 9):
        box = stored(tmp_path / f"images/o{o}.png", o)
        rows.append((f"o{o}.png", SIZE if o < 5 else SIZE[::-1], box))
    WRITERS[format](tmp_path, rows)
    assert boxes_of(tmp_path, format) == {Path(name).stem: [box] for name, _, box in rows}


def test_both_kinds_in_one_source(tmp_path):
    """Each picture whose size tells is right; one whose size does not is left out, not guessed."""
    a = stored(tmp_path / "images/a.png", 6)
    b = stored(tmp_path / "images/b.png", 8)
    stored(tmp_path / "images/c.png", 3)
    coco(tmp_path, [("a.png", SIZE, BOX), ("b.png", SIZE[::-1], b), ("c.png", SIZE, BOX)])
    data, log = read_dataset(tmp_path, "coco")
    assert {r.stem: [o.xyxy_px for o in r.objects] for r in data.splits["train"]} == {"a": [a], "b": [b]}
    assert drops(log) == [("a.json", "c.png, orientation 3", "orientation tag of no clear meaning")]


@pytest.mark.parametrize(("orientation", "size"), [(2, SIZE), (3, SIZE), (4, SIZE), (6, (48, 48))])
def test_where_nothing_tells_it_is_said(tmp_path, orientation, size):
    stored(tmp_path / "images/a.png", orientation, painted(size))
    coco(tmp_path, [("a.png", size, BOX)])
    data, log = read_dataset(tmp_path, "coco")
    assert [o.xyxy_px for o in data.splits["train"][0].objects] == [BOX]
    assert [n.reason.split(":")[0] for n in log["train"].notes] == ["orientation tag not applied to the labels"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", WRITERS)
def test_resized_and_turned(tmp_path, format, orientation):
    """Labelled at twice the size, in the stored frame; one more picture tells the frame of those that cannot."""
    large = tuple(2 * v for v in SIZE)
    shown = stored(tmp_path / "images/a.png", orientation)
    stored(tmp_path / "images/tells.png", 6)
    rows = [("a.png", large, tuple(2 * v for v in BOX)), ("tells.png", SIZE, BOX)]
    WRITERS[format](tmp_path, rows)
    assert boxes_of(tmp_path, format)["a"] == [pytest.approx(shown, abs=1e-9)]


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize(
    ("labelled", "file"), [((640, 480), (64, 48)), ((64, 48), (640, 480)), ((1000, 667), (500, 333))]
)
def test_resized_after_labelling(tmp_path, format, labelled, file):
    fraction = (0.25, 0.25, 0.5, 0.75)
    box = tuple(round(f * labelled[i % 2]) for i, f in enumerate(fraction))
    picture(tmp_path / "images/a.png", file)
    WRITERS[format](tmp_path, [("a.png", labelled, box)])
    want = [v * file[i % 2] / labelled[i % 2] for i, v in enumerate(box)]
    data, log = read_dataset(tmp_path, format, ImportOptions(names=["x"]))
    (record,) = data.splits["train"]
    assert (record.width, record.height) == file
    assert record.objects[0].xyxy_px == pytest.approx(want, abs=1e-9)
    assert any(n.reason.startswith("size differs, boxes scaled") for n in log["train"].notes)


@pytest.mark.parametrize("format", WRITERS)
@pytest.mark.parametrize("size", [(64, 64), (48, 64), (640, 460)])
def test_a_size_of_another_shape_is_refused_and_the_picture_is_no_background(tmp_path, format, size):
    picture(tmp_path / "images/a.png")
    picture(tmp_path / "images/b.png")
    WRITERS[format](tmp_path, [("a.png", size, BOX), ("b.png", SIZE, BOX)])
    data, log = read_dataset(tmp_path, format, ImportOptions(names=["x"]))
    assert [r.stem for r in data.splits["train"]] == ["b"]
    assert [(w, k) for _, w, k in drops(log)] == [("a.png", "size does not fit")]
    (tmp_path / "images/b.png").unlink()
    with pytest.raises(
        DataError, match=rf"0 of [12] boxes .*size does not fit.*{size[0]} x {size[1]} px, the image has 64 x 48"
    ):
        convert(tmp_path, format, tmp_path.with_name(f"{tmp_path.name}-out"), names=["x"], progress=False)
    assert not tmp_path.with_name(f"{tmp_path.name}-out").exists()


@pytest.mark.parametrize("size", [(0, 0), ("", ""), ("nan", 48), (-64, 48)])
@pytest.mark.parametrize("format", ["coco", "voc"])
def test_a_size_that_is_none_is_passed_over(tmp_path, format, size):
    picture(tmp_path / "images/a.png")
    WRITERS[format](tmp_path, [("a.png", size, BOX)])
    assert boxes_of(tmp_path, format) == {"a": [BOX]}


def test_same_shape_allows_a_pixel_of_rounding():
    assert same_shape((1000, 667), (500, 333))
    assert same_shape((500, 333), (1000, 667))
    assert same_shape((4000, 3000), (640, 481))
    assert not same_shape((4000, 3000), (640, 482))
    assert not same_shape((640, 480), (640, 640))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_polygons_regions_and_oriented_boxes_move_with_the_box(orientation):
    ring = tuple(xywhr_to_corners([[30.0, 20.0, 16.0, 6.0, 0.4]]).ravel().tolist())
    box = (min(ring[0::2]), min(ring[1::2]), max(ring[0::2]), max(ring[1::2]))
    record = ImageRecord("a.png", 64, 48, None, [Annotation(0, box, (ring,), True, ring)], [box])
    new = (128, 96) if orientation < 5 else (96, 128)
    move(record, (64, 48), new, orientation)
    (item,) = record.objects
    assert (record.width, record.height) == new
    assert item.difficult
    xs, ys = item.polygons_px[0][0::2], item.polygons_px[0][1::2]
    assert item.xyxy_px == pytest.approx((min(xs), min(ys), max(xs), max(ys)))
    assert record.ignored_xyxy_px == [item.xyxy_px]
    assert item.corners_px == item.polygons_px[0]


@pytest.mark.parametrize("exif_says", [None, 1])
def test_an_orientation_in_xmp_turns_no_picture(tmp_path, exif_says):
    """OpenCV, which reads for training, passes it over."""
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    (tmp_path / "images").mkdir()
    exif = Image.Exif()
    if exif_says:
        exif[0x0112] = exif_says
    painted().save(tmp_path / "images/a.jpg", xmp=xmp, exif=exif)
    coco(tmp_path, [("a.jpg", SIZE, BOX)])
    (record,) = read_dataset(tmp_path, "coco")[0].splits["train"]
    assert (record.width, record.height) == SIZE
    assert record.objects[0].xyxy_px == BOX


def test_turned_tiffs_are_kept(tmp_path):
    for o in (1, 6, 8):
        stored(tmp_path / f"s/images/o{o}.tif", o)
        text(tmp_path / f"s/labels/o{o}.txt", "0 0.25 0.5 0.5 0.25\n")
    report = convert(tmp_path / "s", "yolo", tmp_path / "out", names=["x"], progress=False)
    assert report.counts["train"]["boxes"] == 3
    data, _ = read_dataset(tmp_path / "out", "yolo")
    assert {r.stem: (r.width, r.height) for r in data.splits["train"]} == {
        "o1": (64, 48),
        "o6": (48, 64),
        "o8": (48, 64),
    }


@pytest.mark.parametrize(
    ("format", "label", "line"),
    [
        ("yolo", "labels/a.txt", "0 0.5 0.5 0.25 0.25\n"),
        ("dota", "labelTxt/a.txt", "10 10 30 10 30 30 10 30 ship 0\n"),
        ("visdrone", "annotations/a.txt", "10,10,20,20,1,4,0,0\n"),
    ],
)
def test_formats_that_state_no_size_say_so_too(tmp_path, format, label, line):
    stored(tmp_path / "images/a.png", 6)
    text(tmp_path / label, line)
    text(tmp_path / "data.yaml", "names: [car]\n")
    data, log = read_dataset(tmp_path, format)
    assert len(data.splits["train"][0].objects) == 1
    assert [n.reason.split(":")[0] for n in log["train"].notes] == ["orientation tag not applied to the labels"]
