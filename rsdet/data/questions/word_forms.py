"""Names of things in questions that others asked: one and several, names that mean the same."""

from __future__ import annotations

import re

from rsdet.data.questions.generator.nouns import IRREGULAR, noun, plural

_ONE_OF = {many: one for one, many in IRREGULAR.items()}
# Names that data sets of the field use for the same class. A van is no car here, and what is a vehicle the user says.
SYNONYMS = (
    ("ship", "boat", "vessel"),
    ("plane", "airplane", "aeroplane", "aircraft"),
    ("car", "automobile"),
    ("truck", "lorry"),
    ("person", "pedestrian", "human"),
    ("bicycle", "bike"),
    ("motorcycle", "motorbike", "motor"),
    ("harbor", "harbour", "port"),
    ("storage tank", "oil tank"),
    ("windmill", "wind mill", "wind turbine"),
    ("ground track field", "running track", "athletic track"),
    ("soccer ball field", "soccer field", "football field", "football pitch"),
    ("roundabout", "traffic circle"),
    ("swimming pool", "pool"),
)


def spoken(name: str) -> str:
    """A class name as questions are read: in words, without any punctuation."""
    return " ".join(re.sub(r"\W+", " ", noun(name)).split()).casefold()


def singulars(several: str) -> set[str]:
    """What several of which are called so; more than one where the ending does not tell, none for no plural."""
    before, space, last = several.rpartition(" ")
    stems = {last[:-1], last[:-2], f"{last[:-3]}y", _ONE_OF.get(last, "")} - {""}
    return {f"{before}{space}{one}" for one in stems if one != last and plural(one) == last}


def forms(thing: str) -> set[str]:
    """A noun, several of it, and what it is several of; ``persons`` is as good as ``people``."""
    found = {thing, plural(thing), *singulars(thing)}
    return found | {f"{n}s" for n in found if n.rpartition(" ")[2] == "person"}
