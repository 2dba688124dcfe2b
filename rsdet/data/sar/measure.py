"""Measuring a stretch on the training images, in bounded memory and the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rsdet.data.sar.check import one_type, read_sar_headers, sar_problem
from rsdet.data.sar.coherence import coherence_file
from rsdet.data.sar.picture import read_with
from rsdet.data.sar.stretch import Stretch
from rsdet.errors import DataError

MAX_FILES = 1000  # the 99.5th percentile of 3,600 scenes moves by hundredths of a dB from one such sample to another
MAX_PIXELS = 1 << 22  # 16 MiB of float32


class Measured(NamedTuple):
    """Outcome of :func:`measure`.

    Attributes:
        stretch: The rule with its numbers.
        images: Files looked into.
        pixels: Valid pixels that the limits were taken from.
    """

    stretch: Stretch
    images: int
    pixels: int


def measure(
    paths: Sequence[str | Path],
    stretch: Stretch,
    *,
    seed: int = 0,
    max_files: int = MAX_FILES,
    max_pixels: int = MAX_PIXELS,
) -> Measured:
    """Find the numbers of a stretch on a set of images.

    A fixed random sample of files, and of the valid pixels of each, is taken: the same paths give the same numbers.
    Every header is read, a few files at a time are decoded.

    Args:
        paths: The training images. Files that cannot be read are left to the label check, which names them.
        stretch: The rule as the user wrote it.
        seed: Of the sample.
        max_files: Most files to decode.
        max_pixels: Most pixels to keep.

    Raises:
        DataError: Files of different sample types, files that do not fit the rule, or nothing to measure.
    """
    headers = [h for h in read_sar_headers(sorted(map(str, paths))) if not h.problem]
    dtype = one_type(headers)
    if not headers:
        raise DataError(f"none of the {len(paths)} training images can be read; check the files and the data YAML.")
    if bad := next(((h, p) for h in headers if (p := sar_problem(h, stretch))), None):
        raise DataError(f"{bad[0].path} {bad[1]}.")
    if stretch.coherence and not any(coherence_file(h.path, stretch.coherence).is_file() for h in headers):
        raise DataError(
            f"none of the {len(headers)} training images has a coherence, such as "
            f"{coherence_file(headers[0].path, stretch.coherence)}; put it there, or leave coherence: and "
            "coherence_min: out of the sar: section."
        )
    if stretch.as_is or stretch.method == "range":
        return Measured(stretch.measured(np.zeros(0), dtype), 0, 0)
    rng = np.random.default_rng(seed)
    chosen = headers
    if len(headers) > max_files:
        chosen = [headers[i] for i in np.sort(rng.choice(len(headers), max_files, replace=False))]
    share = max(1, max_pixels // len(chosen))
    seeds = rng.integers(2**32, size=len(chosen))

    def sample(i: int) -> np.ndarray:
        image = read_with(stretch, chosen[i].path)
        stretch.check_values(image.values, image.valid, str(chosen[i].path))
        values = image.values[image.valid]
        if values.size > share:
            values = values[np.random.default_rng(seeds[i]).integers(values.size, size=share)]
        return values

    with ThreadPoolExecutor(4) as pool:
        values = np.concatenate(list(pool.map(sample, range(len(chosen)))))
    return Measured(stretch.measured(values, dtype), len(chosen), values.size)
