"""What a question is made of: its words, in any script, and what no question can be."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rsdet.errors import DataError
from rsdet.names import printable

MOST_WORDS = 200  # the longest question of the public sets has 30; more is a text that got into the wrong column
_SHOWN = 60  # characters of a text in a message
# Chinese and Japanese are written without spaces: each character is taken for a word.
_IDEOGRAPHS = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")


def on_one_line(text: str) -> str:
    """A text from outside with single spaces, harmless to terminals and tables."""
    return printable(" ".join(text.split()))


def tokens_of(text: str) -> list[str]:
    """Words of a question: lower case, split at spaces, without the punctuation around them.

    What stands inside a word stays (``10m2``, ``land-use``). Compatibility forms are folded (NFKC), so that a
    full-width question mark is one. Chinese characters and kana are a word each.
    """
    folded = _IDEOGRAPHS.sub(r" \1 ", unicodedata.normalize("NFKC", text).casefold())
    stripped = (_without_punctuation(word) for word in folded.split())
    return [word for word in stripped if word]


@lru_cache(maxsize=1 << 16)  # a set asks few questions of many pictures
def question_key(text: str) -> str:
    """What questions that differ in case, spaces and punctuation alone have in common."""
    return " ".join(tokens_of(text))


@lru_cache(maxsize=1 << 16)
def question_problem(text: str) -> str:
    """Why a text can be no question, in words; empty where it can."""
    words = tokens_of(text)
    if not words:
        return f"holds no word ({short(text)})" if text.strip() else "is empty"
    if len(words) > MOST_WORDS:
        return f"has {len(words)} words, at most {MOST_WORDS} are taken ({short(text)})"
    return ""


def check_question(text: str, where: str = "question=") -> str:
    """A question on one line.

    Args:
        text: As the user wrote it, in any script.
        where: What to call it in a message.

    Raises:
        DataError: It is empty, holds no word, or has more than :data:`MOST_WORDS`.
    """
    if problem := question_problem(text):
        raise DataError(f"{where} {problem}; ask one short question, such as 'How many ships are in the picture?'")
    return on_one_line(text)


def short(text: str) -> str:
    """A quoted piece of a text that fits into a message."""
    line = " ".join(text[: 4 * _SHOWN].split())
    return repr(line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…")


def _without_punctuation(word: str) -> str:
    first, last = 0, len(word)
    while first < last and unicodedata.category(word[first])[0] in "PCZ":
        first += 1
    while last > first and unicodedata.category(word[last - 1])[0] in "PCZ":
        last -= 1
    return word[first:last]
