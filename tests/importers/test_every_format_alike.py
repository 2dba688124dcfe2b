"""What one importer was taught holds for its siblings: pictures resized after labelling, ids in another type."""

from __future__ import annotations

import json

import pytest
from fakes import make_fake
from PIL import Image

from rsdet.data.importers import ImportOptions, read_dataset

STATING = {
    "coco": "coco",
    "fair1m": "fair1m",
    "hazydet": "hazydet",
    "hit-uav": "hit_uav",
    "hrsc2016": "hrsc2016",
    "hrsid": "hrsid",
    "masks": "masks",
    "ssdd": "ssdd",
    "voc": "voc",
}


def places(root, format, **options):
    """Class, edges, corners and regions of every image."""
    data, _ = read_dataset(root, format, ImportOptions(names=["ship"] if format == "masks" else None, **options))
    return {
        (split, r.name): [
            (data.names[o.cls], *o.xyxy_px, *(v for ring in o.polygons_px for v in ring)) for o in r.objects
        ]
        + [("region", *region) for region in r.ignored_xyxy_px]
        for split, records in data.splits.items()
        for r in records
        if r.path
    }


@pytest.mark.parametrize("task", ["detect", "obb", "segment"])
@pytest.mark.parametrize("format", STATING)
def test_pictures_twice_as_large_as_when_they_were_labelled(tmp_path, format, task):
    root = make_fake(STATING[format], tmp_path / "s")
    before = places(root, format, task=task)
    for path in root.rglob("*"):
        if path.suffix in {".jpg", ".png", ".bmp", ".tif"} and path.stat().st_size and "masks" not in path.parts:
            with Image.open(path) as im:
                im.resize((2 * im.width, 2 * im.height)).save(path)
    after = places(root, format, task=task)
    assert after.keys() == before.keys()
    assert any(before.values())
    for image, found in before.items():
        doubled = [(name, *(pytest.approx(2 * v) for v in values)) for name, *values in found]
        assert after[image] == doubled, image


@pytest.mark.parametrize("write", [str, float, lambda v: f"{v}.0"])
@pytest.mark.parametrize("format", ["coco", "hazydet", "hit-uav", "hrsid"])
def test_ids_of_another_type(tmp_path, format, write):
    root = make_fake(STATING[format], tmp_path / "s")
    before = places(root, format)
    for path in root.rglob("*.json"):
        document = json.loads(path.read_text())
        for item in (i for part in document.values() for i in part if isinstance(i, dict)):
            for key in ("id", "image_id", "category_id"):
                if isinstance(item.get(key), int):
                    item[key] = write(item[key])
        path.write_text(json.dumps(document))
    assert places(root, format) == before
