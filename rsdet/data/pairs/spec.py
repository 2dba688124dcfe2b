"""Data YAMLs of pairs: read, matched and checked before anything heavy starts.

.. code-block:: yaml

    task: restore
    kind: dehaze                                        # dehaze | superres | clouds
    path: rice1                                         # as in Ultralytics' data YAMLs
    train: {input: train/cloudy, target: train/clear}   # folders or .txt lists
    val: {input: test/cloudy, target: test/clear}
    pairing: {input: '(.+)_real_A', target: '(.+)_real_B'}  # group 1 is the key; left out: equal names
    metrics: {colour: rgb, border: 0, ssim: gaussian}

A split that names only a target (``train: {target: clear}``, or ``train: clear``) has its inputs made by ``degrade:``.
``pairing: order`` pairs the lines of two lists one by one. Further keys: ``channels``; ``bands`` to take; ``range``
(file values that are black and white, where not 8 or 16 bits); ``unpaired: ignore`` to go on with the pictures that
have a partner.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsdet.data.degrade import Degradation, build_degradation
from rsdet.data.pairs.check import check_pairs
from rsdet.data.pairs.matching import Pair, Problems, list_pictures, match
from rsdet.data.resolve import check_task, root_of, tasks_of
from rsdet.errors import ConfigError, DataError
from rsdet.textfiles import read_yaml

KINDS = ("dehaze", "superres", "clouds")
SPLITS = ("train", "val", "test")
_BY_ORDER = ("pairing", "order")
_REMEDY = (
    "Mend the files, or say in the data YAML how names meet: pairing: {input: '(.+)_hazy', target: '(.+)_clear'}; "
    "unpaired: ignore goes on with what has a partner."
)


@dataclass
class PairData:
    """A set of pairs that has been found usable.

    Attributes:
        path: The data YAML.
        name: Its name, for messages and tables.
        kind: ``dehaze``, ``superres`` or ``clouds``; None where the YAML does not say.
        root: Folder that its paths are relative to.
        splits: ``train``, ``val`` and ``test``, as far as the YAML has them, to their pairs.
        channels: Channels of the pictures, as the YAML says; 3 where it does not.
        scale: Target pixels per input pixel, measured; None where all inputs are made on the fly.
        degrade: The ``degrade`` section, with ``maps`` made absolute, or None.
        metrics: The ``metrics`` section; see :class:`rsdet.metrics.image_quality.Convention`.
        bands: Bands to take, counted from 1, or None for all.
        value_range: File values that are black and white, or None for those of 8 and 16 bits.
        content: All of the YAML.
    """

    path: Path
    name: str
    kind: str | None
    root: Path
    splits: dict[str, list[Pair]]
    channels: int = 3
    scale: int | None = None
    degrade: dict[str, Any] | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    bands: list[int] | None = None
    value_range: tuple[float, float] | None = None
    content: dict[str, Any] = field(default_factory=dict)

    def split(self, name: str) -> list[Pair]:
        """Pairs of a split.

        Raises:
            DataError: The YAML has no such split.
        """
        if name not in self.splits:
            raise DataError(f"{self.path} has no {name}:, it has {', '.join(self.splits)}; add it or choose split=")
        return self.splits[name]

    def degradation(self, scale: int) -> Degradation | None:
        """What makes inputs on the fly for a model of this scale; None where no split needs it."""
        return None if self.degrade is None else build_degradation(self.degrade, scale)

    def reading(self) -> dict[str, Any]:
        """Arguments for :class:`rsdet.data.pairs.dataset.PairDataset` that say how files become pixels."""
        return {"channels": self.channels, "bands": self.bands, "value_range": self.value_range}


def read_pair_data(path: str | Path, *, scale: int | None = None, splits: Sequence[str] | None = None) -> PairData:
    """Read a data YAML of pairs and look at every file's header; all problems are told at once.

    Args:
        path: The YAML; see :func:`rsdet.data.resolve.resolve_data` for names.
        scale: Scale of the model, which sizes must fit; None takes whatever whole number all pairs have.
        splits: Only these; None for all that the YAML has.

    Raises:
        ConfigError: The YAML is none, is for another task, or has wrong values.
        DataError: Pictures without partner, sizes that do not fit, unreadable files, or nothing at all.
    """
    path = Path(path)
    content = read_yaml(path)
    check_task(path, tasks_of(path, content), "restore")
    _check_keys(path, content)
    root = root_of(path, content)
    wanted = [s for s in SPLITS if content.get(s) and (splits is None or s in splits)]
    if not wanted:
        raise ConfigError(f"{path} has none of {', '.join(splits or SPLITS)}; add train: {{input: ..., target: ...}}")
    degrade = _degrade(path, content, root)
    if degrade is not None:
        build_degradation(degrade, scale if scale is not None else 1 if degrade["name"] == "haze" else 2)
    problems = Problems()
    found = {s: _pairs(s, content[s], root, content, problems, path, degrade) for s in wanted}
    if content.get("unpaired") == "ignore" and problems.found:
        left_out = sum(map(len, problems.found.values()))
        logging.getLogger("rsdet").warning("%s: %d pictures without partner are left out", path, left_out)
        problems.found.clear()
    data = PairData(
        path=path.resolve(), name=str(content.get("name") or path.stem), kind=content.get("kind"), root=root,
        splits=found, channels=_channels(path, content), degrade=degrade, metrics=dict(content.get("metrics") or {}),
        bands=content.get("bands"), value_range=_range(path, content), content=content,
    )  # fmt: skip
    data.scale = check_pairs(found, scale, data.channels, data.bands, problems)
    problems.raise_any(str(path), _REMEDY)
    for split, pairs in found.items():
        if not pairs:
            raise DataError(f"{path}: {split} has no pairs; check the folders and pairing:")
    return data


def _check_keys(path: Path, content: dict[str, Any]) -> None:
    kind = content.get("kind")
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"{path}: kind must be one of {', '.join(KINDS)}, received {kind!r}")
    for key in ("metrics", "pairing"):
        if content.get(key) is not None and not isinstance(content[key], dict) and (key, content[key]) != _BY_ORDER:
            raise ConfigError(f"{path}: {key} must be a mapping, received {content[key]!r}")
    if content.get("unpaired", "refuse") not in ("refuse", "ignore"):
        raise ConfigError(f"{path}: unpaired must be refuse or ignore, received {content['unpaired']!r}")


def _degrade(path: Path, content: dict[str, Any], root: Path) -> dict[str, Any] | None:
    spec = content.get("degrade")
    if spec is None:
        return None
    spec = {"name": spec} if isinstance(spec, str) else spec
    if not isinstance(spec, dict):
        raise ConfigError(f"{path}: degrade must be a mapping with a name, received {spec!r}; such as {{name: haze}}")
    return {**spec, "maps": str(root / Path(spec["maps"]).expanduser())} if isinstance(spec.get("maps"), str) else spec


def _pairs(
    split: str, entry: Any, root: Path, content: dict[str, Any], problems: Problems, path: Path, degrade: dict | None
) -> list[Pair]:
    entry = entry if isinstance(entry, dict) else {"target": entry}
    if "target" not in entry or not set(entry) <= {"input", "target"}:
        raise ConfigError(f"{path}: {split} must be {{input: folder, target: folder}}, received {entry!r}")
    targets = list_pictures(entry["target"], root, f"{path}: {split}: target")
    if entry.get("input") is None:
        if degrade is None:
            raise ConfigError(
                f"{path}: {split} names no input; add input: with the folder, or degrade: to have inputs made of the "
                "target, such as degrade: {name: haze} or {name: bicubic}"
            )
        problems.look_at(path for path, _ in targets)
        keyed = [(p, p.relative_to(f).with_suffix("").as_posix() if f else p.stem) for p, f in targets]
        return [Pair(key, None, p) for p, key in keyed]
    inputs = list_pictures(entry["input"], root, f"{path}: {split}: input")
    if content.get("pairing") == "order":
        return _in_order(inputs, targets, root, problems, split)
    return match(inputs, targets, content.get("pairing") or {}, problems)


def _in_order(inputs: list, targets: list, root: Path, problems: Problems, split: str) -> list[Pair]:
    problems.look_at(path for path, _ in inputs)
    if len(inputs) != len(targets):
        problems.add("splits with lists of different length", f"{split} ({len(inputs)} and {len(targets)})")
        return []
    keys = [os.path.splitext(os.path.relpath(p, root))[0] for p, _ in inputs]
    return [Pair(key, p, t) for key, (p, _), (t, _) in zip(keys, inputs, targets, strict=True)]


def _channels(path: Path, content: dict[str, Any]) -> int:
    bands = content.get("bands")
    if bands is not None and not (isinstance(bands, list) and bands and all(type(b) is int and b > 0 for b in bands)):
        raise ConfigError(f"{path}: bands must be a list of numbers from 1, received {bands!r}; such as [4, 3, 2]")
    channels = content.get("channels", len(bands) if bands else 3)
    if not isinstance(channels, int) or isinstance(channels, bool) or channels < 1:
        raise ConfigError(f"{path}: channels must be a whole number from 1, received {channels!r}")
    return channels


def _range(path: Path, content: dict[str, Any]) -> tuple[float, float] | None:
    value = content.get("range")
    if value is None:
        return None
    good = isinstance(value, list) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value)
    if not good or not value[0] < value[1]:
        raise ConfigError(f"{path}: range must be two numbers, black and white, received {value!r}; such as [0, 4095]")
    return float(value[0]), float(value[1])
