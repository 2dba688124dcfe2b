"""Whole rasters through a function of tiles: the bytes do not depend on how often the run was killed."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import blurring
import numpy as np
import pytest
from blurring import PLACE, blur, blurred
from restore_fakes import model_yaml
from test_restore_predict import _halving

from rsdet import RSDet
from rsdet.cli import run as command
from rsdet.data.geotiff import geo_of
from rsdet.data.tiling import tile_grid, tiled, tiled_rows
from rsdet.errors import ConfigError, DataError, WriteError
from rsdet.scenes.dense import Form, write_dense

rasterio = pytest.importorskip("rasterio")
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def scene(path: Path, size_hw=(150, 200), dtype="uint8", bands=3, nodata=None, alpha=False, mask=None, **more) -> Path:
    """A raster with a place, of samples that differ everywhere."""
    rng = np.random.default_rng(0)
    samples = rng.random((bands, *size_hw)) * {"uint8": 255, "uint16": 65535}.get(dtype, 1)
    samples = samples.astype(dtype)
    if nodata is not None:
        samples[:, 30:60, 50:90] = nodata
    kind = {"driver": "GTiff", "dtype": dtype, "count": bands, "nodata": nodata, **PLACE, **more}
    with rasterio.open(path, "w", height=size_hw[0], width=size_hw[1], **kind) as f:
        f.write(samples)
        f.update_tags(SENSOR="made up")
        f.descriptions = [f"band {i}" for i in range(bands)]
        if alpha:
            f.colorinterp = [*f.colorinterp[:-1], rasterio.enums.ColorInterp.alpha]
        if mask is not None:
            f.write_mask(mask)
    return path


@pytest.mark.parametrize(
    ("height", "tile", "overlap"), [(100, 24, 8), (101, 40, 30), (65, 64, 63), (30, 30, 0), (97, 32, 0)]
)
def test_bands_are_the_same_whichever_row_they_begin_with(height, tile, overlap):
    image = np.random.default_rng(0).random((height, 50, 2), dtype=np.float32)

    def read(top, left, h, w):
        return image[top : top + h, left : left + w]

    def bands(**rows):
        return list(tiled_rows(blur, read, image.shape[:2], tile, overlap, **rows))

    whole, count = bands(), len(tile_grid(image.shape[:2], tile, overlap).tops)
    assert len(whole) == count
    for first in range(count + 1):
        for (top, one), (at, other) in zip(whole[first:], bands(first_row=first), strict=True):
            assert top == at
            assert (one == other).all()
    shares = [b for first in range(count) for b in bands(first_row=first, last_row=first + 1)]
    assert all((one == other).all() for (_, one), (_, other) in zip(whole, shares, strict=True))


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[int, RSDet]:
    """Networks that halve their input, by scale."""
    return {s: _halving(tmp_path_factory.mktemp(f"x{s}"), **({"upscale": s} if s > 1 else {})) for s in (1, 2)}


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize(
    "kind",
    [
        {}, {"dtype": "uint16"}, {"dtype": "float32"}, {"bands": 1}, {"bands": 4, "alpha": True}, {"nodata": 0},
        {"dtype": "float32", "nodata": -9999.0}, {"dtype": "float32", "holes": True}, {"masked": True},
        {"compress": "lzw", "tiled": True, "blockxsize": 64, "blockysize": 64},
    ],
    ids=str,
)  # fmt: skip
def test_a_streamed_raster_is_the_file_that_would_be_written_whole(models, tmp_path, kind, scale):
    kind = dict(kind)
    mask = np.ones((150, 200), bool)
    mask[70:80, 20:60] = False
    holes = kind.pop("holes", False)
    path = scene(tmp_path / "a.tif", mask=mask if kind.pop("masked", False) else None, **kind)
    if holes:
        with rasterio.open(path, "r+") as f:
            samples = f.read()
            samples[:, ~mask] = np.nan
            f.write(samples)
    asked = {"source": path, "tile": 64, "overlap": 16, "verbose": False}
    (streamed,) = models[scale].predict(**asked, save=True, project=str(tmp_path), name="streamed")
    (whole,) = models[scale].predict(**asked, save=False)
    whole.save(tmp_path / "whole.tif")
    assert streamed.save_path == tmp_path / "streamed" / "a.tif"
    assert "image" not in vars(streamed)
    with rasterio.open(streamed.save_path) as a, rasterio.open(tmp_path / "whole.tif") as b:
        np.testing.assert_allclose(a.read().astype(float), b.read().astype(float), atol=1 if scale > 1 else 1e-6)
        np.testing.assert_allclose(a.dataset_mask().astype(float), b.dataset_mask(), atol=float(scale > 1))
        for what in ("dtypes", "crs", "transform", "descriptions", "colorinterp", "mask_flag_enums", "tags"):
            one, other = (getattr(f, what) for f in (a, b))
            assert (one() == other()) if what == "tags" else (one == other), what
        assert a.nodata == b.nodata or (np.isnan(a.nodata) and np.isnan(b.nodata))
        assert a.block_shapes[0] == (512, 512)
    np.testing.assert_allclose(streamed.image, whole.image * np.isfinite(streamed.image), atol=1 / 254)
    assert streamed.orig_image.shape[:2] == streamed.orig_shape == (150, 200)
    assert [p.name for p in streamed.save_path.parent.iterdir()] == ["a.tif"]  # nothing hidden is left


def test_what_is_large_is_streamed_and_what_is_small_is_not(models, tmp_path, monkeypatch):
    path = scene(tmp_path / "a.tif")
    given = dict(save=True, project=str(tmp_path), verbose=False)
    assert models[1].predict(path, **given)[0].image is not None
    assert type(models[1].predict(path, **given)[0]).__name__ == "RestoreResults"
    monkeypatch.setattr("rsdet.tasks.restore.scenes.WHOLE_PX", 1000)
    assert type(models[1].predict(path, **given)[0]).__name__ == "SceneResults"
    assert type(models[1].predict(path, **given, tile=0)[0]).__name__ == "RestoreResults"
    assert type(models[1].predict(path, verbose=False)[0]).__name__ == "RestoreResults"


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from blurring import blurred
print("go", flush=True)
blurred(Path(sys.argv[1]), Path(sys.argv[2]), pause=float(sys.argv[3]))
"""


def _killed(path: Path, out: Path, times: int, seed: int) -> None:
    """Kill runs at random moments, then let one come to its end."""
    rng = np.random.default_rng(seed)
    child = [sys.executable, "-c", CHILD.format(tests=str(Path(__file__).parent)), str(path), str(out)]
    for n in range(times + 1):
        with subprocess.Popen([*child, "0.002"], stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"go\n"
            if n < times:
                time.sleep(rng.uniform(0, 0.35))
                process.send_signal(signal.SIGKILL)
            code = process.wait()
    assert code == 0


@pytest.mark.parametrize("times", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_the_bytes_are_the_same_however_often_it_was_killed(tmp_path, times):
    path = scene(tmp_path / "a.tif", (700, 300))
    calm = blurred(path, tmp_path / "calm" / "a.tif")
    _killed(path, tmp_path / "killed" / "a.tif", times, seed=times)
    assert (tmp_path / "killed" / "a.tif").read_bytes() == calm.read_bytes()
    with rasterio.open(calm) as f, rasterio.open(path) as source:
        whole = tiled(blur, np.moveaxis(source.read(), 0, -1).astype(np.float32) / 255, 48, 16)
        np.testing.assert_array_equal(np.moveaxis(f.read(), 0, -1), np.rint(whole * 255))


def test_it_goes_on_after_the_last_finished_row(tmp_path):
    path, out = scene(tmp_path / "a.tif", (700, 300)), tmp_path / "out" / "a.tif"
    calm = blurred(path, tmp_path / "calm" / "a.tif")
    tiles = len(tile_grid((700, 300), 48, 16))
    calls = []

    def stopped(done, total):
        calls.append((done, total))
        if done == tiles // 2:
            raise KeyboardInterrupt

    def go(progress):
        with rasterio.open(path) as f:
            x = np.moveaxis(f.read(), 0, -1).astype(np.float32) / 255
        form = Form(3, "uint8", {**geo_of(), **PLACE})
        return write_dense(
            blur, lambda t: x[t.slices], lambda b, _: (np.rint(b * 255).astype(np.uint8), None), (700, 300), out, form,
            tile=48, overlap=16, facts={"of": "a test"}, progress=progress,
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        go(stopped)
    assert not out.exists()
    again = []
    go(lambda *n: again.append(n))
    assert out.read_bytes() == calm.read_bytes()
    assert 0.4 * tiles < len(again) < 0.75 * tiles
    assert again[-1] == (tiles, tiles)
    assert go(stopped) == out  # all is done: nothing is run
    assert len(calls) == tiles // 2


def test_another_run_in_the_same_place_is_refused(tmp_path):
    path, out = scene(tmp_path / "a.tif", (300, 200)), tmp_path / "out" / "a.tif"
    (out.parent / ".a.tif.parts").mkdir(parents=True)
    _killed_once(path, out)
    with pytest.raises(DataError, match="unfinished, of another model"):
        blurred(path, out, model="another")
    with pytest.raises(DataError, match="unfinished, of another model"):
        blurred(path, out, tile=64)
    assert blurred(path, out) == out
    assert blurred(path, out, model="another") == out  # of a finished one, the folder is taken


def _killed_once(path: Path, out: Path) -> None:
    def broken(x):
        raise KeyboardInterrupt

    whole, blurring.blur = blurring.blur, broken
    try:
        with pytest.raises(KeyboardInterrupt):
            blurred(path, out)
    finally:
        blurring.blur = whole


def test_a_block_that_cannot_be_read_is_named_and_what_was_done_is_kept(models, tmp_path):
    path = scene(tmp_path / "a.tif", (600, 300), compress="deflate", tiled=True, blockxsize=64, blockysize=64)
    good = path.read_bytes()
    with rasterio.open(path) as f:
        at = int(f.get_tag_item("BLOCK_OFFSET_2_6", "TIFF", bidx=1))
    path.write_bytes(good[:at] + b"\xff" * 200 + good[at + 200 :])
    asked = dict(source=path, tile=64, overlap=16, save=True, project=str(tmp_path), name="run", verbose=False)
    with pytest.raises(DataError, match=r"the window of 64x64 px at column .* cannot be read .*rows of tiles are done"):
        models[1].predict(**asked)
    kept = list((tmp_path / "run" / ".a.tif.parts").glob("*.npz"))
    assert len(kept) == 7  # rows of tiles begin every 48 pixels; the eighth looks at rows 336 to 400
    with pytest.raises(DataError, match="7 of 13 rows of tiles are done and kept"):
        models[1].predict(**asked)
    assert len(list((tmp_path / "run" / ".a.tif.parts").glob("*.npz"))) == 7
    with pytest.raises(ConfigError, match="holds an unfinished run of another model"):
        models[1].predict(**{**asked, "tile": 72})


def test_a_full_disk_is_told_in_one_line_and_the_run_goes_on_later(tmp_path):
    path, out = scene(tmp_path / "a.tif", (700, 900)), tmp_path / "out" / "a.tif"
    calm = blurred(path, tmp_path / "calm" / "a.tif", tile=96)
    size = calm.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for most in (20_000, size // 2):  # of a part, of the file itself
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
        try:
            with pytest.raises(WriteError, match="out"):
                blurred(path, out, tile=96)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert not out.exists()
    assert blurred(path, out, tile=96).read_bytes() == calm.read_bytes()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tile": 7}, "tile=7 is smaller than the 8 px that the model takes"),
        ({"tile": 32, "overlap": 32}, "overlap=32 must be smaller than tile=32"),
        ({"tile": 32, "bands": [1, 7]}, "has 3 bands"),
        ({"tile": 32, "bands": [1, 2]}, "has 2 channels, the model takes 3"),
    ],
)
def test_what_cannot_be_is_refused(models, tmp_path, given, says):
    path = scene(tmp_path / "a.tif")
    with pytest.raises((ConfigError, DataError), match=says) as e:
        models[1].predict(path, save=True, project=str(tmp_path), verbose=False, **given)
    assert e.value.exit_code == 2


def test_values_without_a_range_are_refused_before_anything_is_made(models, tmp_path):
    path = scene(tmp_path / "a.tif", dtype="int16")
    given = dict(tile=32, save=True, project=str(tmp_path), verbose=False)
    with pytest.raises(DataError, match="does not say what is black and what is white"):
        models[1].predict(path, **given)
    (result,) = models[1].predict(path, value_range=[0, 1], **given, name="again")
    with rasterio.open(result.save_path) as f:
        assert f.dtypes[0] == "int16"


def test_the_command_line_restores_a_raster(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scene(tmp_path / "in.tif", (120, 130))
    assert command(["predict", "model=dcp", "source=in.tif", "tile=64", "overlap=16"]) == 0
    assert "1 picture restored" in capsys.readouterr().out
    with rasterio.open("runs/restore/predict/in.tif") as f:
        assert f.shape == (120, 130)
    assert model_yaml  # the module registers the network of the other tests
