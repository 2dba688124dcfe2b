"""From a data YAML of two dates to the pairs of its splits, checked, and what reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsdet.data.dates import DatePair, LabelReader, read_dates
from rsdet.data.gsd import gsd_of
from rsdet.data.resolve import check_task, root_of, tasks_of
from rsdet.errors import ConfigError
from rsdet.tasks.change.reading import PairReader
from rsdet.textfiles import read_yaml

BANDS = 3  # of one date, where the data YAML does not say


@dataclass(frozen=True)
class ChangeData:
    """A data set of two dates.

    Attributes:
        path: The data YAML.
        splits: Split to its pairs.
        labels: Reads their labels.
        reader: Reads the pairs themselves.
        gsd: Metres a pixel, where the YAML says it.
    """

    path: Path
    splits: dict[str, list[DatePair]]
    labels: LabelReader
    reader: PairReader
    gsd: float | None

    @property
    def name(self) -> str:
        """For tables and messages."""
        return self.path.stem


def read_change_data(path: str | Path, splits: Sequence[str]) -> ChangeData:
    """Read a data YAML and look at all files of some splits; everything that is wrong is told at once.

    Args:
        path: The YAML, ready (:func:`rsdet.data.resolve.resolve_data`).
        splits: The splits.

    Raises:
        ConfigError: It is for another task, lacks a split, or has wrong values.
        DataError: Files that do not match or cannot be used.
    """
    path = Path(path)
    content: dict[str, Any] = read_yaml(path)
    check_task(path, tasks_of(path, content), "change")
    bands = content.get("channels", BANDS)
    if type(bands) is not int or bands < 1:
        raise ConfigError(f"{path}: channels: must be the number of bands of one date, received {bands!r}; e.g. 3.")
    content = {**content, "path": str(root_of(path, content)), "channels": bands}
    reader = PairReader(bands, content.get("bands"))
    found = read_dates(content, list(dict.fromkeys(splits)), path.name, bits=8)
    return ChangeData(path, found, LabelReader.of(content), reader, gsd_of(content))
