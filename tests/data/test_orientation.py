"""Every reader shows a picture as its EXIF orientation says, as Pillow does, or refuses it by name."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from rsdet.data.pictures import PictureReader
from rsdet.data.raster_io import read_image
from rsdet.errors import DataError
from rsdet.tasks.restore.source import find

RAW = np.random.default_rng(0).integers(0, 256, (20, 32, 4), dtype=np.uint8)


def turned(path, mode: str, orientation: int):
    exif = Image.Exif()
    exif[0x112] = orientation
    image = Image.fromarray(RAW[..., 0] if mode == "L" else RAW[..., : len(mode)], mode)
    image.save(path, exif=exif, **({"lossless": True} if path.suffix == ".webp" else {}))
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["RGB.png", "L.png", "RGBA.png", "RGB.webp", "RGBA.webp"])
def test_restoration_and_detection_see_what_pillow_shows(name, orientation, tmp_path):
    path = turned(tmp_path / name, name.partition(".")[0], orientation)
    shown = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGBA"))
    restored, meta = read_image(path, channels=3)
    np.testing.assert_array_equal(np.rint(restored * 255), shown[..., :3])
    if "A" in name:
        np.testing.assert_array_equal(meta.alpha, shown[..., 3])
    np.testing.assert_array_equal(PictureReader(3, [1, 1, 1])(path)[..., 0], shown[..., 0])
    np.testing.assert_array_equal(find(Image.open(path)).arrays[0][..., 0] * np.float32(255), shown[..., 0])


@pytest.mark.parametrize("orientation", [3, 6])
def test_turned_tiffs_are_read_upright_or_refused(orientation, tmp_path):
    plain = turned(tmp_path / "a.tif", "RGB", orientation)
    upright = np.rot90(RAW[..., :3], 2 if orientation == 3 else -1)
    np.testing.assert_array_equal(PictureReader()(plain)[..., ::-1], upright)
    for reader, path in (
        (PictureReader(3, [1, 2, 3]), plain),
        (PictureReader(), turned(tmp_path / "b.tif", "RGBA", 6)),
    ):
        with pytest.raises(DataError, match="turned by an orientation tag"):
            reader(path)
