"""Which objects a question asks for: counting and presence questions, by templates, to classes of a detector.

Strict by intent: all words of a question must be accounted for. "How many red cars ..." or "... cars next to a road"
ask for something that boxes of a class do not say, so they name no class.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rsdet.data.questions.word_forms import SYNONYMS, forms, spoken
from rsdet.data.questions.words import question_key
from rsdet.errors import ConfigError, nearest

LONGEST = 200  # characters; the templates' questions are shorter
_PICTURE = (
    r"(?:this|the|that|an?) (?:whole |entire |given )?(?:remote sensing |satellite |aerial |drone |uav )?"
    r"(?:picture|image|photo|photograph|scene|tile|frame|area|region)"
)
_WHERE = rf"(?: (?:in|on|within|inside|of) {_PICTURE})?"
_SEEN = r"(?: (?:visible|present|shown|seen|located|found|displayed))?"
_ANY = r"(?:an? |any |some |at least one )?"
_THING = r"(?P<thing>.+?)"
_TEMPLATES = {
    "count": (
        rf"how many {_THING}(?: (?:are|is)(?: there)?)?{_SEEN}{_WHERE}",
        rf"how many {_THING} (?:can|do|could) (?:you|we|i) (?:see|find|count){_WHERE}",
        rf"how many {_THING} can be (?:seen|found|counted){_WHERE}",
        rf"how many {_THING} does {_PICTURE} (?:contain|show|have|include)",
        rf"(?:what is |what's |give |tell )?(?:me )?(?:the )?(?:total )?(?:number|count) of {_THING}{_SEEN}{_WHERE}",
        rf"count (?:all )?(?:of )?(?:the )?{_THING}{_SEEN}{_WHERE}",
    ),
    "presence": (
        rf"(?:is|are) there {_ANY}{_THING}{_SEEN}{_WHERE}",
        rf"(?:does|do|did) {_PICTURE} (?:contain|show|have|include) {_ANY}{_THING}",
        rf"(?:do|can|could) (?:you|we) (?:see|find|spot) {_ANY}{_THING}{_WHERE}",
        rf"(?:is|are) {_ANY}{_THING} (?:visible|present|shown|seen|found|there){_WHERE}",
        rf"can {_ANY}{_THING} be (?:seen|found|spotted){_WHERE}",
    ),
}
_COMPILED = [(what, re.compile(pattern)) for what, patterns in _TEMPLATES.items() for pattern in patterns]


@dataclass(frozen=True)
class Asked:
    """What a question asks a detector for.

    Attributes:
        what: ``count`` or ``presence``.
        thing: Its words for it.
        classes: Numbers of the classes whose boxes answer it.
        by: How the words led there: ``name``, ``form`` (one or several), ``synonym``, ``yours`` (stated by the user).
    """

    what: str
    thing: str
    classes: tuple[int, ...]
    by: str


class AskedObjects:
    """Finds the classes that questions ask for.

    Args:
        names: Class number to name, those of the detector.
        synonyms: Words of questions to names of the classes that they stand for, all boxes of which count:
            ``{"vehicle": ["car", "truck", "bus"]}``. They go before all else.

    Raises:
        ConfigError: A synonym stands for a class that the detector does not have.
    """

    def __init__(self, names: Mapping[int, str], synonyms: Mapping[str, Sequence[str]] | None = None):
        self.names = dict(names)
        number = {name: i for i, name in self.names.items()}
        self._yours: dict[str, tuple[int, ...]] = {}
        for word, stands_for in (synonyms or {}).items():
            for name in stands_for:
                if name not in number:
                    raise ConfigError(
                        f"synonym {word!r} stands for {name!r}, which the detector has no class for; it has "
                        f"{', '.join(self.names.values())}.{nearest(name, number)}"
                    )
            found = tuple(sorted({number[name] for name in stands_for}))
            self._yours |= dict.fromkeys(forms(spoken(word)), found)
        said = {i: spoken(name) for i, name in self.names.items()}
        self._levels = (
            ("name", {i: {name} for i, name in said.items()}),
            ("form", {i: forms(name) for i, name in said.items()}),
            ("synonym", {i: _same(name) for i, name in said.items()}),
        )

    def parse(self, text: str) -> Asked | str:
        """What a question asks for, or in words why that cannot be told.

        Args:
            text: The question.
        """
        if len(text) > LONGEST:
            return "the question is too long for any template"
        said = question_key(text)
        things = []
        for what, pattern in _COMPILED:
            match = pattern.fullmatch(said)
            if match:
                thing = spoken(match["thing"])
                by, classes = self._classes(thing)
                if len(classes) == 1 or by == "yours":
                    return Asked(what, thing, classes, by)
                things.append((thing, classes))
        if not things:
            return "no question of count or presence"
        thing, classes = things[0]
        if classes:
            return f"{thing!r} may mean {' or '.join(self.names[i] for i in classes)}"
        return f"no class of the detector is called {thing!r}"

    def _classes(self, thing: str) -> tuple[str, tuple[int, ...]]:
        if thing in self._yours:
            return "yours", self._yours[thing]
        for by, said in self._levels:
            classes = tuple(i for i, words in said.items() if thing in words)
            if classes:
                return by, classes
        return "", ()


def _same(name: str) -> set[str]:
    """Forms of all names that mean the same as one."""
    groups = [group for group in SYNONYMS if any(word in forms(name) for word in group)]
    return {form for group in groups for word in group for form in forms(word)}
