"""What a GeoTIFF says of its bands goes with them through restoration."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from rsdet import RSDet
from rsdet.data.raster_io import read_image, write_image
from rsdet.errors import DataError

rasterio = pytest.importorskip("rasterio")
RAW = np.random.default_rng(0).integers(1000, 9000, (4, 40, 56)).astype(np.uint16)
SAID = {
    "scales": (1e-4, 2e-4, 3e-4, 4e-4), "offsets": (-0.1, 0.0, 0.1, 0.2), "descriptions": ("B04", "B03", "B02", None),
    "units": ("reflectance", "reflectance", "K", ""),
}  # fmt: skip


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "s2.tif"
    place = {"crs": "EPSG:32633", "transform": rasterio.transform.from_origin(5e5, 4e6, 10, 10), "nodata": 0}
    with rasterio.open(path, "w", driver="GTiff", height=40, width=56, count=4, dtype="uint16", **place) as f:
        f.write(RAW)
        for key, value in SAID.items():
            setattr(f, key, value)
    return path


def said(path, key, bands):
    with rasterio.open(path) as f:
        return tuple(v or None for v in getattr(f, key)) == tuple(SAID[key][b - 1] or None for b in bands)


@pytest.mark.parametrize("bands", [None, [3, 1], [4]])
def test_scale_offset_names_and_units_follow_their_band(bands, scene, tmp_path):
    x, meta = read_image(scene, bands=bands)
    write_image(tmp_path / "out.tif", x, meta)
    taken = bands or [1, 2, 3, 4]
    assert all(said(tmp_path / "out.tif", key, taken) for key in SAID)
    with rasterio.open(tmp_path / "out.tif") as f:
        np.testing.assert_array_equal(f.read(), RAW[[b - 1 for b in taken]])
        assert (f.crs.to_epsg(), f.nodata, f.count) == (32633, 0, len(taken))


def test_a_dehazed_scene_keeps_them(scene, tmp_path):
    dark = RSDet("dcp")
    dark.predict(scene, bands=[1, 2, 3], project=str(tmp_path), name="out", save=True, verbose=False)
    assert all(said(tmp_path / "out" / "s2.tif", key, [1, 2, 3]) for key in SAID)


def test_a_scale_without_a_place_is_kept_too(tmp_path):
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", height=40, width=56, count=1, dtype="uint16") as f:
        f.write(RAW[:1])
        f.scales = (0.5,)
    x, meta = read_image(path)
    write_image(tmp_path / "out.tif", x, meta)
    with rasterio.open(tmp_path / "out.tif") as f:
        assert f.scales == (0.5,)


def test_what_cannot_be_kept_is_said(scene, tmp_path, caplog):
    x, meta = read_image(scene, bands=[1, 2, 3])
    with caplog.at_level(logging.WARNING, "rsdet"):
        write_image(tmp_path / "out.tif", x[..., :1], meta)
    assert "names and units of the bands left out, 3 bands became 1" in caplog.text


def test_the_key_that_is_proposed_is_taken(tmp_path):
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", height=40, width=56, count=3, dtype="float32") as f:
        f.write(RAW[:3].astype("float32"))
    with pytest.raises(DataError, match=r"such as value_range=\[0,10000\]"):
        RSDet("dcp").predict(path, project=str(tmp_path))
    assert len(RSDet("dcp").predict(path, value_range=[0, 10000], project=str(tmp_path), verbose=False)) == 1


def test_a_mask_of_another_format_is_not_followed(scene, tmp_path):
    """GDAL takes whatever lies there under the name of a mask, and reads what it names: here and on the network."""
    source = np.zeros((1, 40, 56), np.uint8)
    with rasterio.open(tmp_path / "other.tif", "w", driver="GTiff", height=40, width=56, count=1, dtype="uint8") as f:
        f.write(source)
    mask = tmp_path / "s2.tif.msk"
    mask.write_text(
        '<VRTDataset rasterXSize="56" rasterYSize="40"><Metadata><MDI key="INTERNAL_MASK_FLAGS_1">2</MDI></Metadata>'
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename relativeToVRT="1">other.tif'
        "</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(DataError, match=r"s2\.tif\.msk, the mask of s2\.tif, is no TIFF"):
        read_image(scene)
    mask.unlink()
    assert read_image(scene)[1].valid is None or read_image(scene)[1].valid.any()
