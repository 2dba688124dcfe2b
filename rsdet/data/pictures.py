"""From an image file, or an array, to the 8-bit picture that a detector takes: the one reader of both backends.

Common files are decoded as Ultralytics decodes them, pixel for pixel. What its reader would take wrongly in silence is
refused by name, or read rightly: bands beyond red, green and blue, opacity, pages, compressions that OpenCV lacks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from rsdet.data.decoding import by_opencv, needs_package, within_memory
from rsdet.data.geotiff import Samples
from rsdet.data.images import COLOURS, MAX_PIXELS, Header, header_of, no_pixel_limit
from rsdet.data.raster_io import read_samples, take_bands
from rsdet.data.sar.header import SarHeader, read_sar_header
from rsdet.data.sar.picture import SarReader
from rsdet.errors import ConfigError, DataError
from rsdet.quiet import say, silent_opencv

_MAX_SIDE = 2**20  # OpenCV refuses longer ones
_DEEP = (
    "does not have 8 bits per sample ({}) and would be cut to 8 silently; stretch it to 0..255 (uint8) first, with one "
    "fixed range for the whole dataset (gdal_translate -ot Byte -scale 0 10000 0 255), or, with files of one band, "
    "train with a sar: section in the data YAML, which does it; predict with tile=640 measures a range of each picture"
)


def check_bands(bands: Any, channels: int | None = None) -> tuple[int, ...] | None:
    """The bands as a tuple, once they are known to make sense, for a model of so many channels where that is known.

    Raises:
        ConfigError: They do not.
    """
    if bands is None:
        return None
    each = tuple(bands) if isinstance(bands, (list, tuple)) else (bands,)
    if not each or not all(isinstance(b, int) and not isinstance(b, bool) and b > 0 for b in each):
        raise ConfigError(f"bands={bands!r} must be numbers of bands, counted from 1; such as bands=[1,2,3].")
    if channels is not None and len(each) != channels and {len(each), channels} != {1, 3}:
        raise ConfigError(
            f"bands={list(each)} names {len(each)} bands and the model takes {channels} channels; name {channels}, or "
            f"train with channels: {len(each)} in the data YAML."
        )
    return each


@dataclass(frozen=True)
class PictureReader:
    """Reads pictures of 8 bits. It holds no state, so it can be sent to workers.

    Attributes:
        channels: Channels that the model takes. Between 1 and 3 pictures are converted, as Ultralytics does; any other
            number is taken as it is in the file, where four channels come as OpenCV orders them (blue, green, red and
            the fourth) unless ``bands`` says otherwise, and gray pages of a TIFF count as bands.
        bands: Bands of the file to take, counted from 1, in the order of the model's channels (red, green, blue for a
            model of three); alpha can be named as any other. None for all but alpha.
        of_values: Whether what is read are measured values, of which zeros everywhere mean that there are no data.

    Raises:
        ConfigError: ``bands`` do not fit ``channels``.
    """

    channels: int = 3
    bands: tuple[int, ...] | None = None
    of_values: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "bands", check_bands(self.bands, self.channels))

    @property
    def cache_key(self) -> str:
        """Part of a file name: pictures of another key are other pictures."""
        return "" if self.bands is None else ".bands-" + "-".join(map(str, self.bands))

    def header_problem(self, h: SarHeader) -> str:
        """Say in a few words why a file cannot be taken; an empty string where it can."""
        if h.width * h.height > MAX_PIXELS or max(h.width, h.height) > _MAX_SIDE:
            return f"has {h.width}x{h.height} pixels, more than OpenCV reads; cut it into tiles"
        if h.damage and not self._is_stack(h):
            return h.damage
        if h.dtype != "uint8":
            return _DEEP.format(h.dtype)
        if h.tiff and h.problem.startswith("is turned") and not self._is_plain(h):
            return h.problem  # OpenCV turns a TIFF by its tag, rasterio does not
        return self._count_problem(h, h.pages if self._is_stack(h) else h.bands, h.alpha) or needs_package(h)

    def check(self, paths: Iterable[str | Path], limit: int = 5) -> None:
        """Read all headers, raise one line about those that cannot be taken, and note alpha that is set aside.

        Args:
            paths: Image files.
            limit: How many files the message names.

        Raises:
            DataError: At least one file is unusable.
        """
        with no_pixel_limit(), ThreadPoolExecutor(8) as pool:
            headers = list(pool.map(read_sar_header, paths))
        bad = [(h, p) for h in headers if (p := self.header_problem(h))]
        if bad:
            named = "; ".join(f"{h.path} {p}" for h, p in bad[:limit])
            more = f" (and {len(bad) - limit} more)" if len(bad) > limit else ""
            raise DataError(f"{len(bad)} of {len(headers)} images cannot be used: {named}{more}.")
        self.note(headers)

    def note(self, headers: Sequence[SarHeader]) -> None:
        """Say once of how many pictures alpha is set aside."""
        aside = [h for h in headers if h.alpha and not h.problem and self._sets_alpha_aside(h.bands)]
        if aside:
            many = f"{len(aside)} pictures have" if len(aside) > 1 else "1 picture has"
            say(f"{many} an alpha band, which is set aside ({aside[0].path}); bands= takes it.", logging.INFO)

    def __call__(self, path: str | Path) -> np.ndarray:
        """Read one file.

        Returns:
            (H, W, C) uint8 with ``channels`` channels; BGR where these are three.

        Raises:
            DataError: The file cannot be used, or does not fit into the memory.
            MissingDependencyError: rasterio is needed and not installed.
        """
        header = read_sar_header(path)
        if problem := self.header_problem(header):
            raise DataError(f"{path} {problem}.")
        with within_memory(path):
            picture = self._plain(header) if self._is_plain(header) else self._of_bands(self._samples(header), path)
            if picture is None and header.tiff:
                picture = self._of_bands(read_samples(header), path)  # it says what is wrong, or reads it after all
        if picture is None:
            raise DataError(f"{path} cannot be decoded (damaged or cut short); copy it again.")
        return picture

    def is_blank(self, picture: np.ndarray) -> bool:
        """Whether a picture is known to show nothing, which zeros of ordinary pictures do not say."""
        return False

    def array(self, picture: Any, name: str = "the array") -> np.ndarray:
        """Turn a picture in memory into one that the model takes.

        Args:
            picture: (H, W) or (H, W, C) uint8, BGR where it has three channels, or a Pillow image. ``bands`` are taken
                of those with more channels than the model has.
            name: Who it is, for messages.

        Returns:
            As for a file.

        Raises:
            DataError: It cannot be used.
        """
        if problem := self.array_problem(picture):
            raise DataError(f"{name} {problem}.")
        if not isinstance(picture, np.ndarray):
            from PIL import ImageOps

            upright = ImageOps.exif_transpose(picture)
            if self.bands is None and self.channels in (1, 3):
                upright = upright.convert("L" if self.channels == 1 else "RGB")
            picture = np.asarray(upright)
            picture = picture[..., ::-1] if picture.ndim == 3 and picture.shape[2] == 3 else picture
        picture = picture[..., None] if picture.ndim == 2 else picture
        if self.bands is not None and picture.shape[2] not in (1, 3, self.channels):
            return self._of_bands(Samples(picture), name)
        return _with_channels(picture, self.channels)

    def array_problem(self, picture: Any) -> str:
        """Say in a few words why a picture in memory cannot be taken; an empty string where it can."""
        header = header_of(picture)
        if header is None:
            return f"is a {type(picture).__name__}; pass a path, an array or a Pillow image"
        if header.problem:
            return header.problem
        if header.deep:
            return _DEEP.format(header.mode)
        alpha = not isinstance(picture, np.ndarray) and header.mode.endswith(("A", "a"))
        converted = header.mode in ("P", "PA") and self.bands is None and self.channels in (1, 3)
        bands = 3 if converted else header.channels
        taken = replace(self, bands=None) if bands in (1, 3, self.channels) and not alpha else self
        return taken._count_problem(header, bands, alpha)

    def _count_problem(self, h: SarHeader | Header, have: int, alpha: bool) -> str:
        if h.mode in COLOURS:
            return f"holds {COLOURS[h.mode]} and the model takes RGB; save it as RGB"
        if self.bands is not None:
            return "" if max(self.bands) <= have else f"has {have} bands, bands= asks for {max(self.bands)}"
        count = have - (alpha and self._sets_alpha_aside(have))
        # One channel is repeated to three, three are averaged to one; all else would lose a channel silently.
        if count in ({1, 3} if self.channels in (1, 3) else {self.channels}):
            return ""
        some = range(1, self.channels + 1) if have > self.channels else [1] if self.channels == 3 else []
        remedy = f"; choose them, such as bands=[{','.join(map(str, some))}] (bands: in a data YAML)" if some else ""
        return f"has {have} bands, the weights take {self.channels} channels{remedy}"

    def _sets_alpha_aside(self, have: int) -> bool:
        return have != self.channels if self.bands is None else have not in self.bands

    def _is_stack(self, h: SarHeader) -> bool:
        """Whether the pages of a TIFF are taken for bands, which is how Ultralytics stores more than four."""
        return h.stack and (self.bands is not None or self.channels == h.pages not in (1, 3))

    def _is_plain(self, h: SarHeader) -> bool:
        """Whether OpenCV reads the picture as it is; it multiplies colours of a TIFF by alpha, and drops bands.

        Of bands that are no colours it takes the first.
        """
        if self.bands is not None or self.channels not in (1, 3):
            return False
        return not h.tiff or (not h.codec and (h.bands == 1 or (h.bands == 3 and h.mode != "L")))

    def _plain(self, h: SarHeader) -> np.ndarray | None:
        """What Ultralytics' reader makes of the file."""
        picture = None
        if Path(h.path).suffix.lower() == ".avif":  # not in every build of OpenCV
            from PIL import Image, ImageOps

            with no_pixel_limit(), Image.open(h.path) as im:
                upright = ImageOps.exif_transpose(im).convert("L" if self.channels == 1 else "RGB")
            picture = np.asarray(upright)[..., ::-1] if self.channels == 3 else np.asarray(upright)
        if picture is None and self.channels == 3 and h.tiff:
            picture = by_opencv(h.path, cv2.IMREAD_UNCHANGED)  # colours as they are stored, not turned by a tag
            picture = picture if picture is not None and picture.ndim == 3 else None
        if picture is None:
            picture = by_opencv(h.path, cv2.IMREAD_GRAYSCALE if self.channels == 1 else cv2.IMREAD_COLOR)
        if picture is None:
            return None
        return np.ascontiguousarray(picture[..., None] if picture.ndim == 2 else picture)

    def _samples(self, h: SarHeader) -> Samples:
        if not self._is_stack(h):
            return read_samples(h)
        with silent_opencv():
            done, pages = cv2.imdecodemulti(np.fromfile(h.path, np.uint8), cv2.IMREAD_UNCHANGED)
        if not done or len(pages) != h.pages:
            raise DataError(f"{h.path} cannot be decoded (damaged or cut short); copy it again.")
        return Samples(np.dstack(pages))

    def _of_bands(self, samples: Samples, name: str | Path) -> np.ndarray:
        have = samples.raw.shape[2]
        kept = samples if self._sets_alpha_aside(have) else samples._replace(alpha=None)
        raw, _, _ = take_bands(kept, self.bands, Path(name))
        if raw.shape[2] == 3 or (raw.shape[2] == 4 and self.bands is None):
            raw = raw[..., [2, 1, 0, 3][: raw.shape[2]]]
        return np.ascontiguousarray(_with_channels(raw, self.channels))


def _with_channels(picture: np.ndarray, channels: int) -> np.ndarray:
    picture = picture[..., None] if picture.ndim == 2 else picture
    if picture.shape[2] == channels:
        return picture
    # nothing gets here but gray for colour and colour for gray
    how = cv2.COLOR_BGR2GRAY if channels == 1 else cv2.COLOR_GRAY2BGR
    picture = cv2.cvtColor(np.ascontiguousarray(picture), how)
    return picture[..., None] if channels == 1 else picture


def to_picture(image: Any, reader: SarReader | PictureReader) -> np.ndarray:
    """Turn whatever holds an image into a picture.

    Args:
        image: Path, or for :meth:`PictureReader.array`; for a model with a ``sar:`` section, an array of values as they
            stand in files.
        reader: Of the model.

    Returns:
        (H, W, C) uint8.

    Raises:
        DataError: The image cannot be used.
    """
    if isinstance(image, (str, Path)):
        return reader(image)
    header = header_of(image)
    if header is None:
        raise DataError(f"an image cannot be a {type(image).__name__}; pass a path, an array or a Pillow image.")
    if header.problem:
        raise DataError(f"{header.path} {header.problem}.")
    return reader.array(np.asarray(image) if reader.of_values else image, str(header.path))


def reader_of(
    sar: dict[str, Any] | None, channels: int = 3, bands: Sequence[int] | None = None
) -> SarReader | PictureReader:
    """The reader of a model.

    Args:
        sar: Its ``sar:`` section, None for a model of ordinary pictures.
        channels: Channels that it takes.
        bands: Bands of the files to take.

    Raises:
        ConfigError: A section or bands that cannot be worked with.
    """
    if sar is None:
        return PictureReader(channels, bands)
    if bands is not None:
        raise ConfigError("bands= is for pictures, and the model takes SAR files of one band; leave it out.")
    return SarReader.of(sar, channels)
