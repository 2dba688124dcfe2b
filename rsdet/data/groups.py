"""Groups of images that are measured apart, such as inshore and offshore: lists of image names beside a dataset.

The data YAML says ``groups: {inshore: groups/inshore.txt, offshore: groups/offshore.txt}``: name to text file,
relative to the dataset's folder, one image a line, with or without its suffix. An image may be in several groups or in
none; a list may name images of any split.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from rsdet.data.images import SUFFIXES
from rsdet.errors import DataError
from rsdet.names import printable
from rsdet.writing import write_if_changed

if TYPE_CHECKING:
    from rsdet.data.report import ConvertReport

FOLDER = "groups"
_EXAMPLE = "write groups: {inshore: groups/inshore.txt}, or take the key out"


def image_key(line: str) -> str:
    """What a line of a list and the image it means have in common: the name without folders and image suffix."""
    name = PurePosixPath(line.strip().replace("\\", "/")).name
    return name[: name.rindex(".")] if name.lower().endswith(SUFFIXES) else name


def read_groups(data: Mapping[str, Any], root: str | Path | None = None) -> dict[str, frozenset[str]]:
    """The lists that a data YAML names, read.

    Args:
        data: Content of a data YAML.
        root: Folder of the dataset; None takes ``path`` of the YAML.

    Returns:
        Group to the keys (see :func:`image_key`) of its images; empty where the YAML has no groups.

    Raises:
        DataError: ``groups`` is no mapping from names to files, or a file is missing or no text.
    """
    groups = data.get("groups")
    if groups is None:
        return {}
    if not isinstance(groups, dict) or not all(
        isinstance(v, str) and v.strip() for pair in groups.items() for v in pair
    ):
        raise DataError(f"groups: {groups!r} in the data YAML must map names to text files; {_EXAMPLE}.")
    found = {}
    for name, place in groups.items():
        path = Path(root if root is not None else data.get("path", ".")) / place
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as e:
            raise DataError(
                f"{path}, the list of group {name!r}, is no UTF-8 text; write one image name a line."
            ) from e
        except OSError as e:
            raise DataError(
                f"{path}, the list of group {name!r}, cannot be read ({e.strerror}); expected one image name a line; "
                "put it there, or take the group out of groups: in the data YAML."
            ) from e
        found[printable(name)] = frozenset(
            image_key(line) for line in lines if line.strip() and not line.startswith("#")
        )
    return found


def write_groups(report: ConvertReport, before: ConvertReport | None = None) -> dict[str, str]:
    """Write the lists of a converted dataset, all its splits together, and take away those that are no more.

    Args:
        report: What was converted.
        before: Report of the conversion before this one, into the same folder.

    Returns:
        Group to list file, as ``groups:`` of the data YAML wants it.
    """
    members = _members(report)
    for gone in (_members(before) if before else {}).keys() - members.keys():
        (report.out / FOLDER / f"{gone}.txt").unlink(missing_ok=True)
    for group, images in members.items():
        write_if_changed(report.out / FOLDER / f"{group}.txt", "".join(f"{image}\n" for image in sorted(images)))
    return {group: f"{FOLDER}/{group}.txt" for group in sorted(members)}


def _members(report: ConvertReport) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for split in report.splits.values():
        for group, images in split.groups.items():
            found.setdefault(group, set()).update(images)
    return found
