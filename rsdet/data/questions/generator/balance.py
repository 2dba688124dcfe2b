"""Which of all questions are kept: of each, no answer more often than its second most frequent one.

So a closed question is answered yes as often as no, and its most frequent answer alone is right half the time. What
has but one answer is not asked at all. The choice depends on seed, question and picture alone, by a hash, and is the
same on every machine.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from rsdet.data.questions.records import Question, Questions
from rsdet.data.questions.words import question_key


def balanced(questions: Iterable[Question], seed: int = 0) -> Questions:
    """Questions with their answers balanced, sorted by picture.

    Args:
        questions: All of one split.
        seed: Another number chooses other ones.
    """
    kept: Questions = []
    for answers in _by_answer(questions).values():
        if len(answers) < 2:
            continue
        most = sorted(map(len, answers.values()))[-2]
        for some in answers.values():
            kept += sorted(some, key=lambda q: _drawn(q, seed))[:most]
    return sorted(kept, key=lambda q: (q.image, q.kind, q.text))


def only_asked(questions: Iterable[Question], trained: Iterable[Question]) -> Questions:
    """Questions that are asked in training, too."""
    known = {question_key(q.text) for q in trained}
    return [q for q in questions if question_key(q.text) in known]


def majority_accuracy(questions: Sequence[Question], trained: Sequence[Question]) -> float:
    """Share of questions that are right with the most frequent answer of the same question in training.

    Of several most frequent answers, the first by the alphabet is taken; a question that was not asked in training is
    wrong. NaN where nothing is asked.
    """
    best = {
        key: min(answers, key=lambda a, answers=answers: (-len(answers[a]), a))
        for key, answers in _by_answer(trained).items()
    }
    right = sum(best.get(question_key(q.text)) == q.answer for q in questions)
    return right / len(questions) if questions else float("nan")


def distribution(questions: Iterable[Question]) -> dict[tuple[str, str], Counter[str]]:
    """How often each question has each answer: (kind, question) to answer to number."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for q in questions:
        found[q.kind, q.text][q.answer] += 1
    return dict(sorted(found.items()))


def _by_answer(questions: Iterable[Question]) -> dict[str, dict[str, Questions]]:
    found: dict[str, dict[str, Questions]] = {}
    for q in questions:
        found.setdefault(question_key(q.text), {}).setdefault(q.answer, []).append(q)
    return found


def _drawn(question: Question, seed: int) -> bytes:
    text = f"{seed}/{question_key(question.text)}/{question.image}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
