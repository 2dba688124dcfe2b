"""Headers of all pictures of a set of pairs, read before training: sizes, channels, depths, damage."""

from __future__ import annotations

import logging
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from rsdet.data.decoding import needs_package
from rsdet.data.images import no_pixel_limit
from rsdet.data.pairs.matching import Pair, Problems
from rsdet.data.sar.header import SarHeader, read_sar_header

_THREADS = 8
_TAIL = 1 << 12  # bytes in which the end mark must be; some writers pad


def ratio_of(input_hw: tuple[int, int], target_hw: tuple[int, int]) -> int | None:
    """Whole number of target pixels per input pixel; None where the sizes are not those of one picture.

    A target whose size the scale does not divide is cut at the bottom and the right, as the maker of its input did: the
    input has floor(target / scale) pixels along both axes.
    """
    ratio = round(target_hw[0] / input_hw[0])
    # At a ratio beyond the size of the input, floor(target / ratio) no longer tells one ratio from the next.
    good = ratio >= 1 and all(t // ratio == i for i, t in zip(input_hw, target_hw, strict=True))
    if ratio == 1:
        good = input_hw == target_hw
    return ratio if good else None


def check_pairs(
    splits: dict[str, list[Pair]], scale: int | None, channels: int, bands: list[int] | None, problems: Problems
) -> int | None:
    """Look at every file once; what is wrong goes to ``problems``.

    Args:
        splits: Name to pairs.
        scale: Target pixels per input pixel that sizes must have; None for whatever most pairs have.
        channels: Channels that the model takes.
        bands: Bands to be taken of every file.
        problems: Filled.

    Returns:
        The scale of the pairs; None where every input is made on the fly.
    """
    paths = sorted({p for pairs in splits.values() for pair in pairs for p in (pair.input, pair.target) if p})
    with no_pixel_limit(), ThreadPoolExecutor(_THREADS) as pool:
        headers = dict(zip(paths, pool.map(whole_header, paths), strict=True))
    alpha = [p for p, h in headers.items() if h.alpha]
    for path, header in headers.items():
        if why := header_problem(header, channels, bands):
            problems.add("files that cannot be used", f"{path.name} {why}")
    if alpha:
        logging.getLogger("rsdet").warning(
            "%d files have an alpha channel, which is left out (%s)", len(alpha), alpha[0]
        )
    ratios: dict[Pair, int | None] = {}
    for pairs in splits.values():
        for pair in pairs:
            hw = _hw(headers, pair.target)
            if pair.input is not None and hw and (small := _hw(headers, pair.input)):
                ratios[pair] = ratio_of(small, hw)
            elif pair.input is None and hw and scale and min(hw) < scale:
                problems.add(f"pictures smaller than scale={scale}", f"{pair.target.name} ({hw[1]}x{hw[0]})", pair)
    common = Counter(r for r in ratios.values() if r is not None).most_common(1)
    wanted = scale or (common[0][0] if common else None)
    for pair, ratio in ratios.items():
        if ratio is None or ratio != wanted:
            (h, w), (th, tw) = _hw(headers, pair.input), _hw(headers, pair.target)
            problems.add(
                f"pairs whose target is not x{wanted or 1} of the input", f"{pair.input.name} ({w}x{h} and {tw}x{th})"
            )
    shared = {p.target for p in splits.get("train", ())} & {p.target for p in splits.get("val", ())}
    if shared:
        logging.getLogger("rsdet").warning(
            "%d pictures are in train and in val: what val measures is partly learnt by heart (%s)",
            len(shared), min(shared),
        )  # fmt: skip
    return wanted if ratios else None


def whole_header(path: Path) -> SarHeader:
    """Header of a file, and whether its end is there: a copy that broke off would stop the training hours later."""
    header = read_sar_header(path)
    if not header.problem and is_cut_short(path):
        return replace(header, problem="is cut short (its end is missing); copy it again")
    return header


def is_cut_short(path: Path) -> bool:
    """Whether a JPEG or PNG file lacks its end mark; TIFF headers tell by themselves, other formats do not."""
    with path.open("rb") as f:
        magic = f.read(8)
        if not magic.startswith((b"\xff\xd8", b"\x89PNG")):
            return False
        f.seek(0, os.SEEK_END)
        f.seek(-min(_TAIL, f.tell()), os.SEEK_END)
        tail = f.read()
    return (b"IEND" if magic[1:4] == b"PNG" else b"\xff\xd9") not in tail


def _hw(headers: dict[Path, SarHeader], path: Path) -> tuple[int, int] | None:
    header = headers[path]
    return (header.height, header.width) if header.width and header.height else None


def header_problem(header: SarHeader, channels: int, bands: list[int] | None) -> str:
    """Why a file cannot be used by a model with so many channels; empty where it can."""
    if header.problem and not header.problem.startswith("holds the colours of a palette"):
        return header.problem
    if header.is_complex:
        return "holds complex samples; make amplitudes of them first"
    if bands is not None and max(bands) > header.bands:
        return f"has {header.bands} bands, bands= asks for {max(bands)}"
    have = header.bands - header.alpha
    if bands is None and have != channels and {have, channels} != {1, 3}:
        return f"has {have} channels, {channels} are needed; choose them with bands: in the data YAML"
    return needs_package(header)
