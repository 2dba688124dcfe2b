"""Word vectors that somebody else has trained, from a text file: GloVe's, or word2vec's and fastText's ``.vec``.

A line is a word and its numbers, split by spaces; word2vec and fastText begin with a line of two counts. The files have
millions of lines: they are read one by one, and what no question asks for is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rsdet.data.questions.words import short
from rsdet.errors import DataError

__all__ = ["read_word_vectors"]

_WANTED = "pass a text file of word vectors (GloVe .txt, fastText .vec)"
_LONGEST = 1 << 20  # bytes of a line; a file without line breaks is none of these


def read_word_vectors(path: str | Path, words: Iterable[str]) -> dict[str, np.ndarray]:
    """Vectors of some words.

    Args:
        path: The file, in UTF-8.
        words: As :func:`rsdet.data.questions.words.tokens_of` gives them. Of a word that the file has in several
            spellings (``US``, ``us``) the one that is spelt like this counts, else the first.

    Returns:
        Vectors of one length, float32, for those of the words that are in the file.

    Raises:
        DataError: It cannot be read, is no such file, or has none of the words.
    """
    wanted, exact, folded = set(words), {}, {}
    try:
        with open(path, "rb") as f:
            number = 0
            while line := f.readline(_LONGEST):
                number += 1
                name, _, rest = line.strip().partition(b" ")
                word = name.decode("utf-8", "replace").removeprefix("\ufeff")
                found = exact if word in wanted else folded
                word = word if word in wanted else word.casefold()
                if word in wanted and word not in found and not (number == 1 and len(rest.split()) == 1):
                    found[word] = _numbers(path, number, rest)
    except OSError as e:
        raise DataError(f"{path} cannot be read ({e.strerror or e}); {_WANTED}.") from e
    vectors = folded | exact
    lengths = sorted({len(v) for v in vectors.values()})
    if len(lengths) != 1 or lengths[0] < 2:
        why = f"its vectors have {lengths} numbers" if lengths else f"it has none of {len(wanted)} words"
        raise DataError(f"{path} cannot be used ({why}, e.g. {short(', '.join(sorted(wanted)))}); {_WANTED}.")
    return vectors


def _numbers(path: str | Path, number: int, text: bytes) -> np.ndarray:
    try:
        vector = np.array(text.split(), np.float64).astype(np.float32)
    except ValueError:
        vector = np.array([np.nan], np.float32)
    if not np.isfinite(vector).all():
        raise DataError(f"{path}: line {number} is no word with its numbers; {_WANTED}.")
    return vector
