"""Prediction of what restores pictures: depth, place on Earth, tiles, names, arrays, videos, methods per image."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from restore_fakes import clear_picture, model_yaml

from rsdet import RSDet
from rsdet.data.raster_io import read_image
from rsdet.errors import DataError
from rsdet.tasks.restore.run import Interrupted


@pytest.fixture(scope="module")
def darker(tmp_path_factory) -> RSDet:
    """A network that halves its input, so that every output is known."""
    return _halving(tmp_path_factory.mktemp("yaml"))


def _halving(folder: Path, **values: object) -> RSDet:
    model = RSDet(model_yaml(folder, kind="superres" if values else "dehaze"), **values)
    n = model.model.network.channels
    with torch.no_grad():
        model.model.network.a.weight.zero_()
        model.model.network.b.weight.zero_()
        for c in range(n):  # channel c of the hidden layer carries x, of which b takes a half away
            model.model.network.a.weight[c, c, 1, 1] = 1
            model.model.network.b.weight[c, c, 1, 1] = -0.5
        model.model.network.a.bias.zero_()
    return model


@pytest.mark.parametrize(("name", "bits"), [("a.png", 8), ("a.png", 16), ("a.tif", 16), ("a.bmp", 8)])
def test_the_result_has_the_depth_of_its_source(darker, tmp_path, name, bits):
    x = clear_picture(np.random.default_rng(0), 40, bits)
    cv2.imwrite(str(tmp_path / name), x)
    (result,) = darker.predict(tmp_path / name, save=True, project=str(tmp_path), name="out")
    y = cv2.imread(str(tmp_path / "out" / name), cv2.IMREAD_UNCHANGED)
    assert y.dtype == x.dtype
    np.testing.assert_allclose(y.astype(float), x / 2, atol=0.51)
    assert result.save_path == tmp_path / "out" / name
    assert result.image.dtype == np.float32
    np.testing.assert_allclose(result.image, result.orig_image / 2, atol=1e-6)


def test_colours_are_rgb_in_arrays_and_stay_in_place_in_files(darker, tmp_path):
    x = np.zeros((24, 24, 3), np.uint8)
    x[..., 0] = 200  # blue in OpenCV's order
    cv2.imwrite(str(tmp_path / "blue.png"), x)
    (result,) = darker.predict(tmp_path / "blue.png", save=True, project=str(tmp_path), name="out")
    assert result.image[0, 0] == pytest.approx([0, 0, 100 / 255], abs=1e-6)
    assert cv2.imread(str(tmp_path / "out" / "blue.png"))[0, 0].tolist() == [100, 0, 0]


def test_jpeg_is_not_compressed_again_and_equal_names_do_not_collide(darker, tmp_path):
    x = clear_picture(np.random.default_rng(0), 40)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "x.jpg"), x)
    sources = [tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg"]
    results = darker.predict(sources, save=True, project=str(tmp_path), name="out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["x-2.png", "x.png"]
    assert [r.save_path.name for r in results] == ["x.png", "x-2.png"]


def test_a_geotiff_keeps_its_place_and_enlarging_divides_its_pixels(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    from rasterio.transform import from_origin

    x = clear_picture(np.random.default_rng(0), 32, 16)
    profile = dict(driver="GTiff", height=32, width=32, count=3, dtype="uint16", crs="EPSG:32632")
    with rasterio.open(tmp_path / "g.tif", "w", transform=from_origin(500000, 4500000, 10, 10), **profile) as f:
        f.write(x.transpose(2, 0, 1))
    model = _halving(tmp_path, upscale=2)
    model.predict(tmp_path / "g.tif", save=True, project=str(tmp_path), name="out")
    with rasterio.open(tmp_path / "out" / "g.tif") as f:
        assert (f.width, f.height, f.dtypes[0]) == (64, 64, "uint16")
        assert f.crs.to_epsg() == 32632
        assert (f.transform.a, f.transform.e, f.transform.c, f.transform.f) == (5.0, -5.0, 500000.0, 4500000.0)
        np.testing.assert_allclose(f.read(1)[::2, ::2].astype(float), x[..., 0] / 2, atol=0.51)


@pytest.mark.parametrize("upscale", [1, 2])
def test_tiles_equal_the_whole_away_from_the_border_for_a_local_network(tmp_path, upscale):
    torch.manual_seed(0)
    model = RSDet(model_yaml(tmp_path, kind="superres"), upscale=upscale)
    torch.nn.init.normal_(model.model.network.b.weight, std=0.1)
    x = clear_picture(np.random.default_rng(1), 104)[:92]
    whole = model.predict(x, tile=0)[0].image
    tiles = model.predict(x, tile=40, overlap=16)[0].image
    assert np.abs(whole - x.repeat(upscale, 0).repeat(upscale, 1) / 255).max() > 0.05  # it does something
    np.testing.assert_allclose(tiles, whole, atol=1e-5)


def test_a_large_picture_is_cut_by_itself(tmp_path):
    model = _halving(tmp_path)
    model.model.network.whole_px = 32 * 32
    sizes = []
    model.model.network.register_forward_pre_hook(lambda _, a: sizes.append(tuple(a[0].shape[-2:])))
    x = clear_picture(np.random.default_rng(1), 48)
    y = model.predict(x)[0].image
    assert set(sizes) == {(32, 32)}
    np.testing.assert_allclose(y, x / 510, atol=1e-5)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float", "gray", "tensor", "batch", "pil"])
def test_pictures_in_memory(darker, kind):
    from PIL import Image

    x = np.random.default_rng(2).random((20, 28, 3)).astype(np.float32)
    x8 = np.rint(x * 255).astype(np.uint8)
    source, truth = {
        "uint8": (x8, x8 / 255), "uint16": (np.rint(x * 65535).astype(np.uint16), x), "float": (x, x),
        "gray": (None, None), "tensor": (torch.from_numpy(x.transpose(2, 0, 1)), x),
        "batch": (torch.from_numpy(np.stack([x, x]).transpose(0, 3, 1, 2)), x), "pil": (Image.fromarray(x8), x8 / 255),
    }[kind]  # fmt: skip
    if kind == "gray":
        with pytest.raises(DataError, match="1 channels, the model takes 3"):
            darker.predict(x8[..., 0])
        return
    results = darker.predict(source)
    assert len(results) == (2 if kind == "batch" else 1)
    np.testing.assert_allclose(results[0].image, truth / 2, atol=1e-4)


def test_bands_of_an_array_are_taken_as_those_of_a_file(darker):
    x = np.random.default_rng(2).random((20, 28, 5)).astype(np.float32)
    np.testing.assert_allclose(darker.predict(x, bands=[5, 1, 3])[0].image, x[..., [4, 0, 2]] / 2, atol=1e-5)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_deep_pillow_images_are_not_cut_to_8_bits(darker, mode):
    from PIL import Image

    with pytest.raises(DataError, match=r"int32|values outside"):
        darker.predict(Image.fromarray(np.full((20, 28), 4000, np.uint16)).convert(mode))


def test_a_file_that_cannot_be_used_is_left_out_and_named(darker, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    cv2.imwrite(str(folder / "good.png"), clear_picture(np.random.default_rng(0), 24))
    cv2.imwrite(str(folder / "tiny.png"), np.zeros((4, 4, 3), np.uint8))
    (folder / "broken.png").write_bytes((folder / "good.png").read_bytes()[:100])
    results = darker.predict(folder, save=True, project=str(tmp_path), name="out")
    assert [Path(r.path).name for r in results] == ["good.png"]
    assert len(darker.skipped) == 2
    assert any("tiny.png is 4x4 px" in s for s in darker.skipped)
    assert any("broken.png" in s for s in darker.skipped)
    with pytest.raises(DataError, match="tiny"):
        darker.predict(folder / "tiny.png")


def test_alpha_is_kept_and_all_black_stays_black(darker, tmp_path):
    x = np.zeros((24, 24, 4), np.uint8)
    x[:12, :, 3] = 77
    cv2.imwrite(str(tmp_path / "a.png"), x)
    darker.predict(tmp_path / "a.png", save=True, project=str(tmp_path), name="out")
    y = cv2.imread(str(tmp_path / "out" / "a.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(y, x)


def test_a_video_is_restored_frame_by_frame(tmp_path):
    model = _halving(tmp_path, upscale=2)
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 24))
    for i in range(3):
        writer.write(np.full((24, 32, 3), 60 + 60 * i, np.uint8))
    writer.release()
    results = model.predict(tmp_path / "v.avi", save=True, project=str(tmp_path), name="out", stream=True)
    means = [float(r.image.mean() * 255) for r in results]
    np.testing.assert_allclose(means, [30, 60, 90], atol=2)
    video = cv2.VideoCapture(str(tmp_path / "out" / "v.mp4"))
    assert video.read()[1].shape == (48, 64, 3)


def test_the_dark_channel_prior_needs_no_weights(tmp_path):
    x = clear_picture(np.random.default_rng(0), 64)
    hazy = np.rint(0.4 * x + 0.6 * 230).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "h.png"), hazy)
    model = RSDet("dcp.yaml", omega=0.9)
    (result,) = model.predict(tmp_path / "h.png", save=True, project=str(tmp_path), name="out")
    clear = x[..., ::-1] / 255
    before, after = (np.mean((p - clear) ** 2) for p in (hazy[..., ::-1] / 255, result.image))
    assert after < before / 2
    assert model.info(verbose=False)["params"] == 0
    assert read_image(tmp_path / "out" / "h.png")[0].shape == (64, 64, 3)


class _Slow:
    """Stands for a method that optimises on each picture."""

    name, kind, scale, channels, local, min_px, offline = "slow", "superres", 2, None, False, 4, True

    class _Result:
        def __init__(self, image, stopped):
            self.image, self.kernel, self.losses, self.stopped = image, np.ones((3, 3)) / 9, [], stopped
            self.is_partial = stopped == "interrupted"

        def summary(self):
            return "best so far"

        def save(self, folder, stem, meta=None, suffix=".png"):
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{stem}{suffix}"
            path.write_bytes(b"x")
            return [path]

    def __init__(self):
        self.seeds = []

    def solve(self, image, progress=None, seed=0):
        self.seeds.append(seed)
        return self._Result(image.repeat(2, 0).repeat(2, 1), "interrupted")


def test_ctrl_c_in_a_method_per_image_writes_what_it_has_and_begins_no_other(tmp_path, capsys, monkeypatch):
    from rsdet import cli, modes
    from rsdet.modes.mode import Mode

    for n in "ab":
        cv2.imwrite(str(tmp_path / f"{n}.png"), clear_picture(np.random.default_rng(0), 24))
    model = RSDet("dcp.yaml")
    model.model.run = slow = _Slow()
    with pytest.raises(Interrupted, match=r"a\.png is the best so far; 1 not begun"):
        model.predict([tmp_path / "a.png", tmp_path / "b.png"], save=True, project=str(tmp_path), name="out", seed=7)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.png"]
    assert slow.seeds == [7]

    def interrupted(_):
        raise Interrupted("a.png is the best so far; 1 not begun.")

    monkeypatch.setattr(modes, "get", lambda name: Mode("", interrupted))
    assert cli.run(["predict"]) == 130
    assert "interrupted: a.png is the best so far" in capsys.readouterr().err


@pytest.mark.parametrize("tile", [None, 16])
def test_no_pixel_that_is_there_becomes_no_data(darker, tmp_path, tile):
    rasterio = pytest.importorskip("rasterio")
    x = np.full((3, 40, 40), 8, np.uint8)
    x[:, 10:20] = 1  # halved and rounded: 0, which is no data here
    x[:, 30:] = 0
    place = {"crs": "EPSG:32632", "transform": rasterio.transform.from_origin(5e5, 5e6, 1, 1)}
    with rasterio.open(tmp_path / "a.tif", "w", "GTiff", 40, 40, 3, dtype="uint8", nodata=0, **place) as f:
        f.write(x)
    darker.predict(tmp_path / "a.tif", save=True, project=str(tmp_path), name="out", tile=tile)
    with rasterio.open(tmp_path / "out" / "a.tif") as f:
        y = f.read()
        np.testing.assert_array_equal(f.dataset_mask() > 0, x[0] > 0)
    assert set(np.unique(y[:, 10:20])) == {1}
    assert not y[:, 30:].any()


@pytest.mark.parametrize("tile", [None, 16])
def test_bits_that_are_not_filled_are_told_with_what_mends_it(darker, tmp_path, caplog, tile):
    rasterio = pytest.importorskip("rasterio")
    x = np.full((3, 40, 40), 2000, np.uint16)
    place = {"crs": "EPSG:32632", "transform": rasterio.transform.from_origin(5e5, 5e6, 1, 1)}
    with rasterio.open(tmp_path / "a.tif", "w", "GTiff", 40, 40, 3, dtype="uint16", **place) as f:
        f.write(x)
    darker.predict(tmp_path / "a.tif", save=True, project=str(tmp_path), name="out", tile=tile)
    assert "no sample is above 2000 of 65535" in caplog.text
    assert "value_range=[0,2047]" in caplog.text
    caplog.clear()
    darker.predict(tmp_path / "a.tif", project=str(tmp_path), save=True, name="in", tile=tile, value_range=[0, 2047])
    assert "of 65535" not in caplog.text
