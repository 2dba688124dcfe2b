"""English names of things: one and several, the words of a class name, names that mean the same."""

from __future__ import annotations

import re

_IRREGULAR = {
    "person": "people", "man": "men", "woman": "women", "child": "children", "leaf": "leaves", "wharf": "wharves",
    "aircraft": "aircraft", "hovercraft": "hovercraft", "watercraft": "watercraft", "livestock": "livestock",
    "sheep": "sheep", "fish": "fish",
}  # fmt: skip
_ONE_OF = {many: one for one, many in _IRREGULAR.items()}
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
    """A class name as words: ``storage-tank``, ``sea_person`` and ``OtherVehicle`` become what one would say."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.sub(r"[\W_]+", " ", parted).split()).casefold()


def plural(noun: str) -> str:
    """Several of a thing; of more words, the last one changes.

    Args:
        noun: One of them, in lower case.
    """
    before, space, last = noun.rpartition(" ")
    if last in _IRREGULAR:
        many = _IRREGULAR[last]
    elif re.search(r"(s|x|z|ch|sh)$", last):
        many = f"{last}es"
    elif re.search(r"[^aeiou]y$", last):
        many = f"{last[:-1]}ies"
    else:
        many = f"{last}s"
    return f"{before}{space}{many}"


def singulars(noun: str) -> set[str]:
    """What several of which are called so; more than one where the ending does not tell, none for no plural."""
    before, space, last = noun.rpartition(" ")
    stems = {last[:-1], last[:-2], f"{last[:-3]}y", _ONE_OF.get(last, "")} - {""}
    return {f"{before}{space}{one}" for one in stems if plural(one) == last}


def forms(noun: str) -> set[str]:
    """A noun, several of it, and what it is several of; ``persons`` is as good as ``people``."""
    found = {noun, plural(noun), *singulars(noun)}
    return found | {f"{n}s" for n in found if n.rpartition(" ")[2] == "person"}
