"""Answers that are numbers: digits, or English number words as RSIVQA writes them."""

from __future__ import annotations

import math
import re

# Thousands are parted by a comma or a space in groups of three; anything else with a comma is no number that we know.
_DIGITS = re.compile(r"[+-]?(\d{1,15}|\d{1,3}(?:([, ])\d{3})(?:\2\d{3}){0,3})(\.\d{1,15})?")
_BELOW_20 = {
    "zero": 0, "none": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_SCALES = ((" thousand", 1000), (" hundred", 100))
_BOUNDS = (  # words, and what they add to a least or to a largest count
    ("more than ", 1, None), ("over ", 1, None), ("at least ", 0, None),
    ("less than ", None, -1), ("fewer than ", None, -1), ("at most ", None, 0),
)  # fmt: skip
_BETWEEN = (re.compile(r"between (.+) and (.+)"), re.compile(r"(.+) to (.+)"), re.compile(r"([\d, ]+)[-–]([\d, ]+)"))
_LONGEST = 80  # characters of a number in words; longer is prose


def number_of(answer: str | float | None) -> float | None:
    """The number that an answer is: ``3``, ``"3"``, ``"1,234"``, ``"three"``, ``"twenty-two"``, ``"none"``.

    Bins (``"0%-10%"``, ``"between 10 and 100"``), shares (``"10%"``) and estimates (``"about fifty"``, ``"several"``)
    are no numbers.

    Args:
        answer: Text, or a number as it stands in JSON.

    Returns:
        The number; None where the answer is none, or has more than 15 digits.
    """
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        return None
    text = " ".join(str(answer).split())  # plain spaces, for there are others between thousands
    if len(text) > _LONGEST:
        return None
    if _DIGITS.fullmatch(text):
        return float(re.sub(r"[, ]", "", text))
    found = _in_words(text.casefold().removesuffix("."), _SCALES)
    return None if found is None else float(found)


def range_of(answer: str | float | None) -> tuple[float, float] | None:
    """Least and largest count that an answer allows: of ``"3"``, ``"more than 20"``, ``"between 1 and 10"``.

    Args:
        answer: Text, or a number as it stands in JSON.

    Returns:
        The two, allowed themselves; of a number, that number twice. None where the answer says nothing about a count,
        as ``between 10 and 1`` does.
    """
    number = number_of(answer)
    if number is not None:
        return number, number
    text = " ".join(str(answer).split()).casefold()
    if len(text) > 2 * _LONGEST:
        return None
    for begin, low, high in _BOUNDS:
        bound = number_of(text.removeprefix(begin)) if text.startswith(begin) else None
        if bound is not None:
            return (bound + low, math.inf) if high is None else (0.0, bound + high)
    for pattern in _BETWEEN:
        if match := pattern.fullmatch(text):
            low, high = number_of(match[1]), number_of(match[2])
            return None if low is None or high is None or low > high else (low, high)
    return None


def _in_words(text: str, scales: tuple[tuple[str, int], ...]) -> int | None:
    """``[N thousand] [N hundred] [and] [tens[-ones]]``, below a million."""
    if not scales:
        return _below_100(text)
    (name, size), *smaller = scales
    before, parted, after = text.rpartition(name)
    if not parted:
        return _in_words(text, tuple(smaller))
    high = 1 if before == "a" else _in_words(before, tuple(smaller))
    low = _in_words(after.removeprefix(",").removeprefix(" and").strip(), tuple(smaller)) if after else 0
    return None if not high or low is None or (after and not low) else size * high + low


def _below_100(text: str) -> int | None:
    if text in _BELOW_20:
        return _BELOW_20[text]
    tens, parted, ones = text.replace(" ", "-").partition("-")
    if tens not in _TENS or (parted and not 0 < _BELOW_20.get(ones, 0) < 10):
        return None
    return _TENS[tens] + _BELOW_20.get(ones, 0)
