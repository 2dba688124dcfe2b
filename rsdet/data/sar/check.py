"""Which files fit a stretch: one data set has one sample type, and a model takes the type that it was trained on."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rsdet.data.sar.coherence import coherence_problem
from rsdet.data.sar.header import SarHeader, read_sar_header
from rsdet.data.sar.reader import header_problem
from rsdet.data.sar.stretch import Stretch
from rsdet.errors import DataError

SCALED = "stores velocities as samples times a scale or with an offset; save it in mm/y (gdal_translate -unscale)"


def same_type(a: str | None, b: str | None) -> bool:
    """Whether values of both sample types mean the same: equal, or floating point of any width."""
    kinds = [str(x).rstrip("0123456789") for x in (a, b)]
    return a == b or (kinds[0] == kinds[1] and kinds[0] in ("float", "complex"))


def type_problem(dtype: str, stretch: Stretch) -> str:
    """Say in a few words why values of a sample type do not fit a stretch; an empty string where they do."""
    if stretch.as_is and dtype != "uint8":
        return (
            f"holds {dtype} and stretch: none takes 8-bit values as they are; give the sar: section a stretch, e.g. "
            "stretch: {domain: db, method: percentile, low: 1, high: 99.5}"
        )
    if stretch.dtype is not None and not same_type(stretch.dtype, dtype):
        return (
            f"holds {dtype} and the stretch was measured on {stretch.dtype}; pass {stretch.dtype} files, or train on "
            f"{dtype} ones (rsdet train, with a sar: section in the data YAML)"
        )
    return ""


def sar_problem(header: SarHeader, stretch: Stretch) -> str:
    """Say in a few words why a file cannot be read with a stretch; an empty string where it can."""
    problem = header_problem(header, stretch.quantity) or type_problem(header.dtype, stretch)
    if stretch.signed and header.scaled and not problem:
        return SCALED
    return problem or (coherence_problem(header, stretch.coherence) if stretch.coherence else "")


def read_sar_headers(paths: Iterable[str | Path]) -> list[SarHeader]:
    """Read the headers of many files, in order."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(read_sar_header, paths))


def check_sar_images(paths: Iterable[str | Path], stretch: Stretch, limit: int = 5) -> list[SarHeader]:
    """Read all headers and raise one line about those that do not fit.

    Args:
        paths: Image files.
        stretch: The rule that they will be read with.
        limit: How many files the message names.

    Returns:
        The headers, in order.

    Raises:
        DataError: A file is unusable, or the files do not all have one sample type.
    """
    headers = read_sar_headers(paths)
    one_type([h for h in headers if not h.problem])
    bad = [(h, p) for h in headers if (p := sar_problem(h, stretch))]
    if bad:
        named = "; ".join(f"{h.path} {p}" for h, p in bad[:limit])
        more = f" (and {len(bad) - limit} more)" if len(bad) > limit else ""
        raise DataError(f"{len(bad)} of {len(headers)} SAR images cannot be used: {named}{more}.")
    return headers


def one_type(headers: Iterable[SarHeader]) -> str:
    """Return the one sample type of all files; an empty string without any.

    Raises:
        DataError: There are several; an example of each is named.
    """
    first: dict[str, SarHeader] = {}
    for h in headers:
        if not any(same_type(h.dtype, known) for known in first):
            first[h.dtype] = h
    if len(first) > 1:
        named = ", ".join(f"{h.path} is {dtype}" for dtype, h in first.items())
        raise DataError(
            f"the images have different sample types and one stretch cannot fit both: {named}; convert them to one "
            "type with the same units, or make a data set of each."
        )
    return next(iter(first), "")
