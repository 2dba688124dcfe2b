"""No bytes in a label file make an importer fail with anything but one line; no box leaves its image."""

from __future__ import annotations

import copy
import json
import math
import tempfile
from pathlib import Path

import pytest
from fakes import picture, text
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet.data.annotations import MIN_SIDE_PX, ImageRecord, ImportLog
from rsdet.data.forms import give_form
from rsdet.data.importers import IMPORTERS, ImportOptions, read_dataset
from rsdet.data.importers._labels import Collector
from rsdet.errors import RSDetError

LABEL = {
    "visdrone": "annotations/a.txt",
    "dota": "labelTxt/a.txt",
    "yolo": "labels/a.txt",
    "voc": "Annotations/a.xml",
    "coco": "annotations/a.json",
    "hit-uav": "annotations/a.json",
    "hazydet": "train/train_coco.json",
    "hrsid": "annotations/train2017.json",
    "masks": "masks/a.png",
    "sar-ship-dataset": "images/a.txt",
    "ssdd": "Annotations/a1.xml",
    "fair1m": "labelXml/a.xml",
    "hrsc2016": "Annotations/a.xml",
    "labelme": "a.json",
}
IMAGE = {"hazydet": "train/hazy_images/a.png", "sar-ship-dataset": "images/a.jpg", "ssdd": "JPEGImages/a1.png"}
quick = settings(max_examples=60, deadline=None)

numberlike = ["0", "1", "-3.5", "nan", "inf", "-inf", "1e309", "1_0", "0x1", "٣"]
word = st.sampled_from([*numberlike, "ship", "é", "", " ", ",", "\t"])
line = st.lists(word, max_size=12).flatmap(lambda words: st.sampled_from([",", " "]).map(lambda sep: sep.join(words)))
label_text = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda s: s.encode("utf-8", "surrogatepass")),
    st.lists(line, max_size=8).map(lambda lines: "\n".join(lines).encode()),
)
json_value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
numberish = st.one_of(json_value, st.integers(-5, 50), st.just(10**400))
run_lengths = st.fixed_dictionaries(
    {
        "size": st.lists(st.integers(-1, 10**7), min_size=1, max_size=3),
        "counts": st.one_of(st.text(st.characters(max_codepoint=120)), st.lists(numberish, max_size=5)),
    }
)
entry = st.fixed_dictionaries(
    {},
    optional={
        "id": numberish,
        "image_id": st.one_of(st.just(1), json_value),
        "category_id": st.one_of(st.just(1), json_value),
        "bbox": st.one_of(json_value, st.lists(numberish, min_size=4, max_size=5)),
        "segmentation": st.one_of(json_value, run_lengths),
        "iscrowd": json_value,
        "difficult": json_value,
        "file_name": st.one_of(st.just("a.png"), st.text(max_size=6), json_value),
        "width": numberish,
        "height": numberish,
        "name": json_value,
    },
)
coco_text = st.fixed_dictionaries(
    {
        key: st.one_of(json_value, st.lists(st.one_of(entry, json_value), max_size=4))
        for key in ("images", "annotations", "categories")
    }
).map(lambda d: json.dumps(d).encode())
good_image = {"id": 1, "file_name": "a.png", "width": 64, "height": 48}
bad_annotations = st.lists(entry, max_size=5).map(
    lambda a: json.dumps({"images": [good_image], "annotations": a, "categories": [{"id": 1, "name": "x"}]}).encode()
)
tags = "annotation object bndbox robndbox name xmin xmax ymin ymax size HRSC_Object mbox_cx points point possibleresult"
tag = st.sampled_from(tags.split())
xml_text = st.lists(
    st.one_of(tag.map(lambda t: f"<{t}>"), tag.map(lambda t: f"</{t}>"), word, st.text(max_size=5)), max_size=25
).map(lambda parts: "".join(["<annotation>", *parts, "</annotation>"]).encode("utf-8", "surrogatepass"))
whole_xml = st.lists(st.tuples(word, word, word, word, word), max_size=4).map(
    lambda rows: (
        "<annotation>"
        + "".join(
            f"<object><name>{n}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax>"
            f"</bndbox></object><object><name>{n}</name><robndbox><cx>{a}</cx><cy>{b}</cy><w>{c}</w><h>{d}</h>"
            f"<angle>{a}</angle></robndbox></object><HRSC_Object><mbox_cx>{a}</mbox_cx><mbox_cy>{b}</mbox_cy><mbox_w>{c}"
            f"</mbox_w><mbox_h>{d}</mbox_h><mbox_ang>{n}</mbox_ang></HRSC_Object><object><possibleresult><name>{n}</name>"
            f"</possibleresult><points><point>{a},{b}</point><point>{c},{d}</point><point>{d},{a}</point></points></object>"
            for n, a, b, c, d in rows
        )
        + "</annotation>"
    ).encode()
)
shape = st.fixed_dictionaries(
    {"label": st.one_of(st.just("x"), json_value), "points": st.lists(st.lists(numberish, max_size=3), max_size=5)},
    optional={
        "shape_type": st.sampled_from(["polygon", "rectangle", "circle", "rotation", "mask", "point", 5, None]),
        "group_id": json_value,
        "difficult": json_value,
    },
)
labelme_text = st.fixed_dictionaries(
    {"shapes": st.one_of(json_value, st.lists(st.one_of(shape, json_value), max_size=4))},
    optional={"imageWidth": numberish, "imageHeight": numberish},
).map(lambda d: json.dumps(d).encode())
FUEL = {
    "voc": st.one_of(label_text, xml_text, whole_xml),
    "coco": st.one_of(label_text, coco_text, bad_annotations),
    "hit-uav": st.one_of(label_text, coco_text, bad_annotations),
    "hazydet": st.one_of(label_text, coco_text, bad_annotations),
    "hrsid": st.one_of(label_text, coco_text, bad_annotations),
    "masks": st.one_of(label_text, st.binary().map(lambda tail: b"\x89PNG\r\n\x1a\n" + tail)),
    "ssdd": st.one_of(label_text, xml_text, whole_xml),
    "fair1m": st.one_of(label_text, xml_text, whole_xml),
    "hrsc2016": st.one_of(label_text, xml_text, whole_xml),
    "labelme": st.one_of(label_text, labelme_text),
}


@pytest.mark.parametrize("format", [f for f in IMPORTERS if f in LABEL])  # others have maps, or labels elsewhere
def test_any_bytes_are_answered_or_reported(format):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        picture(root / IMAGE.get(format, "images/a.png"))

        @quick
        @given(FUEL.get(format, label_text))
        def check(content):
            text(root / LABEL[format], content)
            problem = None
            try:
                names = {"yolo": ["x", "ship"], "masks": ["ship"]}.get(format)
                data, log = read_dataset(root, format, ImportOptions(names=names))
            except RSDetError as e:
                problem = str(e)
            if problem is not None:
                assert "\n" not in problem
                return
            for part in log.values():
                json.dumps(part.dropped)
                assert all(d.file and d.reason and "\n" not in d.reason for d in part.dropped)
            for record in (r for records in data.splits.values() for r in records):
                for x1, y1, x2, y2 in [*(o.xyxy_px for o in record.objects), *record.ignored_xyxy_px]:
                    assert 0 <= x1 < x2 <= record.width
                    assert 0 <= y1 < y2 <= record.height
            given = sum(len(record.objects) for records in data.splits.values() for record in records)
            for task in ("obb", "segment"):  # one after the other: both stand on what the file says
                formed, reasons = copy.deepcopy(data), ImportLog()
                give_form(formed, reasons, task)
                kept = [(r, o) for records in formed.splits.values() for r in records for o in r.objects]
                assert len(kept) + sum(len(part.dropped) for part in reasons.values()) == given
                for record, item in kept:
                    (ring,) = item.polygons_px
                    assert len(ring) == 8 if task == "obb" else len(ring) >= 6
                    assert min(ring) >= -0.011
                    assert max(ring[0::2]) <= record.width + 0.011
                    assert max(ring[1::2]) <= record.height + 0.011

        check()


coordinate = st.one_of(st.floats(), st.floats(-100, 200), st.integers(-100, 200))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), max_size=6))
def test_every_box_is_kept_inside_or_dropped_with_a_reason(found):
    record, log = ImageRecord("a.png", 100, 50), ImportLog()
    into = Collector(record, log, "train", "a.txt")
    for index, box in enumerate(found):
        into.add(index, 0, box)
    assert len(record.objects) + len(log["train"].dropped) == len(found)
    for item in record.objects:
        x1, y1, x2, y2 = item.xyxy_px
        assert 0 <= x1 <= x2 - MIN_SIDE_PX * 0.999
        assert x2 <= 100
        assert 0 <= y1 <= y2 - MIN_SIDE_PX * 0.999
        assert y2 <= 50
        source = next(b for b in found if all(map(math.isfinite, b)) and max(b[0], 0) == x1 and min(b[2], 100) == x2)
        assert source[0] <= x1  # clipping never moves an edge outwards
        assert source[2] >= x2
