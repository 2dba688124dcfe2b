"""The owner's files of a set that rsdet knows by name, as they were unpacked, and the plain data YAML made for them.

They lie in ``<datasets>/<name>-original`` and are not copied; the YAML is written to ``<datasets>/<name>``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from rsdet.errors import DataError
from rsdet.writing import disk_errors, write_if_changed

_OF_SHIPPED = ("source_format", "instruction", "path")  # what only a shipped YAML needs


class Original(NamedTuple):
    """A known set and the folder of its owner's files.

    Attributes:
        name: Name of the set.
        folder: Where the files are looked for.
        how: How to come by them, in words.
    """

    name: str
    folder: Path
    how: str

    @classmethod
    def of(cls, path: Path, content: dict[str, Any], root: Path) -> Original:
        """The set that a shipped YAML describes.

        Args:
            path: The shipped YAML.
            content: What it says.
            root: Folder of the data sets.
        """
        name = str(content.get("name") or path.stem)
        how = " ".join(str(content.get("instruction", "")).split())
        return cls(name, root / f"{content.get('original', name)}-original", how)

    def check_there(self) -> None:
        """Make sure that there are files.

        Raises:
            DataError: There are none; the message says where to put them.
        """
        if not self.folder.is_dir() or not any(self.folder.iterdir()):
            raise DataError(f"{self.name}: no files in {self.folder}; {self.how}")

    def plain(self, content: dict[str, Any], folder: Path | None = None) -> dict[str, Any]:
        """What the shipped YAML says of the set, whose files lie in ``folder``, or in that of all of them."""
        said = {k: v for k, v in content.items() if k not in _OF_SHIPPED}
        return said | {"path": str((folder or self.folder).resolve())}

    def write(self, data: dict[str, Any]) -> Path:
        """Write the plain data YAML, where it is not there yet; returns its path."""
        place = self.folder.parent / self.name
        with disk_errors(place):
            head = f"# Made by rsdet of the files in {self.folder.name}.\n"
            text = head + yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
            write_if_changed(place / f"{self.name}.yaml", text)
        return place / f"{self.name}.yaml"
