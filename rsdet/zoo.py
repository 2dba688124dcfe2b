"""Weights by name: each is a card, and a file beside it or an address that the card vouches for.

A card is ``rsdet/assets/weights/NAME.yaml``; what stands in it, :data:`FIELDS` says. The weights are
``NAME.safetensors`` beside it (:func:`rsdet.checkpoint.save_plain` with ``half=True``, at most :data:`MOST_BYTES`), or
``url``, ``bytes`` and ``sha256`` of the card say where they are and what they must be. Adding weights is adding these
files and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from rsdet.data.fetch import fetch
from rsdet.errors import CheckpointError, ConfigError, nearest
from rsdet.paths import home, weights_dir
from rsdet.textfiles import read_yaml

SUFFIX = ".safetensors"
MOST_BYTES = 10_000_000  # of a file in the wheel
FIELDS = {
    "task": "task of the model",
    "about": "what it finds or makes, and on which pictures, in one line",
    "model": "model YAML, with :SCALE where it has several",
    "imgsz": "side of the input in pixels that it was trained with",
    "licence": "of the weights",
    "data": "name, source, licence and credit of what it was trained on",
    "split": "whose split, and how many pictures each part has",
    "command": "what trained it",
    "seeds": "of the training, a list",
    "results": "list of {data, split, images, protocol, imgsz, and one number for each measure such as AP; beside: "
    "what something simple reaches there}",
    "curve": "{measure, epochs, values}, or why there is none",
    "failures": "what it gets wrong, in words, and pictures of it (paths in the repository)",
    "intended_use": "what it is for, and what not",
}
_SAID = {"psnr_db": ("PSNR", " dB"), "ssim": ("SSIM", "")}  # key of results -> name and unit, where it is no name
_RESULT = ("data", "split", "images", "protocol", "imgsz")  # of a row of results; what else is a number is a measure


@dataclass(frozen=True)
class Card:
    """What is known about weights.

    Attributes:
        name: Their name.
        facts: Content of the card, see :data:`FIELDS`.
        path: The card.
    """

    name: str
    facts: Mapping[str, Any]
    path: Path

    @property
    def results(self) -> list[dict[str, Any]]:
        """What was measured, the first row being the one that is shown."""
        return list(self.facts["results"])

    @property
    def shipped(self) -> Path | None:
        """The weights beside the card; ``None`` where they have to be fetched."""
        file = self.path.with_suffix(SUFFIX)
        return file if file.is_file() else None

    @property
    def size_mb(self) -> float:
        """Size of the file in MB (10^6 bytes)."""
        return (self.shipped.stat().st_size if self.shipped else int(self.facts["bytes"])) / 1e6

    @property
    def size(self) -> str:
        """The same in words."""
        return f"{self.size_mb:.1f} MB" if self.size_mb >= 0.1 else f"{1000 * self.size_mb:.0f} kB"

    @property
    def is_addressed(self) -> bool:
        """Whether it says where the weights are, and what they must be."""
        kinds = {"url": str, "bytes": int, "sha256": str}
        return all(type(self.facts.get(key)) is kind for key, kind in kinds.items()) and self.facts["bytes"] > 0

    def faults(self) -> list[str]:
        """What a card lacks, one line each; none where it is complete."""
        facts = self.facts
        out = [f"{key} is missing: {what}" for key, what in FIELDS.items() if facts.get(key) in (None, "", [], {})]
        rows = facts.get("results") or []
        if not isinstance(rows, list):
            out.append("results is no list")
        for n, row in enumerate(rows if isinstance(rows, list) else []):
            lacking = [k for k in _RESULT if not isinstance(row, dict) or row.get(k) in (None, "")]
            if lacking or not measures(row):
                out.append(f"results[{n}] has no {', '.join(lacking) or 'number'}: a number without it says nothing")
        data = facts.get("data")
        lacking = [k for k in ("name", "source", "licence") if not isinstance(data, dict) or not data.get(k)]
        if lacking and data:
            out.append(f"data has no {', '.join(lacking)}")
        if not self.shipped and not self.is_addressed:
            out.append(f"neither {self.name}{SUFFIX} beside it nor url, bytes and sha256, as text, a number and text")
        if self.shipped and self.shipped.stat().st_size > MOST_BYTES:
            out.append(f"{self.name}{SUFFIX} has more than {MOST_BYTES:,} bytes; give it an address instead")
        return out

    def line(self) -> str:
        """The card in one line; of one that is not complete, what it lacks."""
        if faults := self.faults():
            return f"{self.name}: not a complete card, {faults[0]}; mend {self.path}"
        facts, first = self.facts, self.results[0]
        numbers = in_words(first)
        side = f"{first['imgsz']} px" if isinstance(first["imgsz"], int) else first["imgsz"]
        where = f"protocol {first['protocol']}, {first['data']} {first['split']}, {side}"
        size = f"{self.size}{'' if self.shipped else ', fetched when it is used'}"
        learnt = f"learnt from {facts['data']['name']} ({facts['data']['licence']})"
        said = f"{self.name} ({facts['task']}): {facts['about']}; {numbers} ({where}); {size}"
        return f"{said}; {facts['licence']}; {learnt}"


def measures(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row of results."""
    return {k: v for k, v in row.items() if k not in _RESULT and isinstance(v, int | float)}


def in_words(row: Mapping[str, Any], digits: int = 3) -> str:
    """The numbers of a row of results as people read them: ``PSNR 32.1 dB, SSIM 0.922`` of ``psnr_db`` and ``ssim``."""
    shown = ((*_SAID.get(key, (key, "")), value) for key, value in measures(row).items())
    return ", ".join(f"{name} {value:.{digits}g}{unit}" for name, unit, value in shown)


def list_weights(pattern: str = "*") -> list[str]:
    """Names of the weights that match a shell pattern, sorted."""
    return sorted(f.stem for f in weights_dir().glob("*.yaml") if fnmatch(f.stem, pattern))


def find_card(name: str | Path) -> Card | None:
    """The card that ``model=`` means; ``None`` where there is none, or where a file here has the name."""
    return None if Path(name).is_file() else _card(str(name))


def _card(name: str) -> Card | None:
    path = weights_dir() / f"{name}.yaml"
    if Path(name).name != name or name not in list_weights(name):
        return None
    return Card(name, read_yaml(path), path)


def card_of(name: str) -> Card:
    """The card of that name.

    Raises:
        ConfigError: There is none.
    """
    card = _card(name)
    if card is None:
        known = list_weights()
        raise ConfigError(f"there are no weights {name!r}.{nearest(name, known)} There are: {', '.join(known)}.")
    return card


def weights(name: str, progress: bool = True) -> Path:
    """The file of weights by name. Naming weights that do not ship counts as asking for their download.

    Args:
        name: Name of a card.
        progress: Show a progress bar.

    Raises:
        ConfigError: There are none of that name.
        CheckpointError: The card is not complete.
        DataError: They cannot be fetched, or are not what the card says.
    """
    card = card_of(name)
    if card.shipped:
        return card.shipped
    if not card.is_addressed:
        raise CheckpointError(f"{name}: neither weights nor url, bytes and sha256 beside {card.path}; install again.")
    size, digest = card.facts["bytes"], card.facts["sha256"]
    return fetch(card.facts["url"], _fetched(name), size=size, sha256=digest, progress=progress)


def _fetched(name: str) -> Path:
    return home() / "weights" / f"{name}{SUFFIX}"


def facts_about(network: Any, file: str | Path | None) -> Mapping[str, Any]:
    """What a card says of a network; nothing where its weights are no card's, or not any more.

    Args:
        network: The network.
        file: What it was loaded from.
    """
    path = Path(file or "")
    card = _card(path.stem)
    if card is None or path not in (card.shipped, _fetched(card.name)):
        return {}
    import torch  # names are listed without
    from safetensors.torch import load_file

    now = network.state_dict()
    kept = load_file(path).items()
    return card.facts if all(k in now and torch.equal(v.float(), now[k].cpu().float()) for k, v in kept) else {}
