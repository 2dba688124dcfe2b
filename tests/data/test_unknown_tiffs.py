"""TIFFs that Pillow does not know go through convert as they are, and through the check of pairs."""

from __future__ import annotations

import numpy as np
import pytest

from rsdet.data.convert import convert
from rsdet.data.importers._images import BadImageError, probe
from rsdet.data.pairs.check import header_problem, whole_header

rasterio = pytest.importorskip("rasterio")
RAW = np.random.default_rng(0).integers(0, 256, (5, 32, 48), dtype=np.uint8)


def tiff(path, count, **profile):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", driver="GTiff", height=32, width=48, count=count, dtype="uint8", **profile) as f:
        f.write(RAW[:count])
    return path


@pytest.mark.parametrize(
    ("count", "profile", "remark"),
    [(3, {"compress": "LERC"}, "compressed with LERC"), (5, {}, "5 bands"), (3, {"compress": "ZSTD"}, "")],
)
def test_convert_carries_them_as_they_are(count, profile, remark, tmp_path):
    path = tiff(tmp_path / "in" / "images" / "a.tif", count, **profile)
    (tmp_path / "in" / "labels").mkdir()
    (tmp_path / "in" / "labels" / "a.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    info = probe(path)
    assert (info.width, info.height) == (48, 32)
    assert not remark or any(remark in r for r in info.remarks)
    convert(tmp_path / "in", "yolo", tmp_path / "out", names=["car"], progress=False)
    made = next((tmp_path / "out").rglob("a.tif"))
    assert made.read_bytes() == path.read_bytes()
    assert next((tmp_path / "out" / "labels").rglob("a.txt")).read_text().split() == ["0", "0.5", "0.5", "0.25", "0.25"]


def test_a_damaged_one_is_still_damaged(tmp_path):
    path = tiff(tmp_path / "a.tif", 5)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BadImageError, match=r"cut short|readable"):
        probe(path)


def test_pairs_know_alpha_and_bands_by_the_header(tmp_path):
    near_infrared = whole_header(tiff(tmp_path / "n.tif", 4, photometric="RGB", alpha="UNSPECIFIED"))
    opaque = whole_header(tiff(tmp_path / "o.tif", 4, photometric="RGB", alpha="NON-PREMULTIPLIED"))
    assert "has 4 channels, 3 are needed" in header_problem(near_infrared, 3, None)
    assert (
        header_problem(near_infrared, 3, [1, 2, 3])
        == header_problem(opaque, 3, None)
        == header_problem(opaque, 4, [1, 2, 3, 4])
        == ""
    )
    assert "has 4 bands, bands= asks for 5" in header_problem(opaque, 3, [5, 1, 2])
