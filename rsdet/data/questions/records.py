"""One question about one picture, whatever file it came from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a picture and its answer.

    Attributes:
        image: Name of the picture, relative to the folder of the images; some owners leave the suffix out.
        text: The question as it is asked.
        answer: The true answer, of numbers their text (``"3"``); empty where it is withheld or not known.
        kind: Type of the question as its data set calls it, such as ``Basic Counting``; empty where there is none.
    """

    image: str
    text: str
    answer: str = ""
    kind: str = ""


Questions = list[Question]
