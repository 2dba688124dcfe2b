"""The folder that a conversion writes: what may be written there, what stays of earlier ones, and what goes."""

from __future__ import annotations

import os
from pathlib import Path

from rsdet.data.annotations import Dataset
from rsdet.data.difficult import FOLDER
from rsdet.data.exporters.semantic import MASKS
from rsdet.data.report import REPORT_NAME, ConvertReport, SplitReport
from rsdet.errors import DataError

LABELS = {"labels": ".txt", "labelTxt": ".txt", "ignore": ".txt", FOLDER: ".txt", MASKS: ".png"}  # a file a picture
FOLDERS = ("images", *LABELS, "annotations")


def check_places(source: Path, out: Path, format: str) -> None:
    """Refuse to write into the source.

    Raises:
        DataError: ``out`` is the source, inside it, or a file; or the source is what an earlier run wrote to ``out``.
    """
    real_source, real_out = source.resolve(), out.resolve()
    home = real_source.parent if real_source.is_file() and format != "vector" else real_source
    if not real_source.exists():
        raise DataError(f"source {source} does not exist; expected a dataset folder or a label file; check the path")
    if home in (real_out, *real_out.parents):
        raise DataError(f"out={out} is inside the source folder {home}, which is never written to; choose another out")
    if any(real_source == real_out / f or real_out / f in real_source.parents for f in FOLDERS):
        raise DataError(f"source {source} is inside out={out} where the result goes; choose another out")
    for folder in (out / f for f in FOLDERS):
        for place in (folder, *(folder.iterdir() if folder.is_dir() else ())):
            if place.is_symlink() and place.is_dir():  # to the originals, maybe, and what is stale is removed there
                raise DataError(f"{place} is a link, and convert writes into no folder elsewhere; remove the link")
    if real_out.exists() and not real_out.is_dir():
        raise DataError(f"out={out} is a file; expected a folder; choose another out")


def check_free(out: Path) -> None:
    """Refuse to mix with files of unknown origin.

    Raises:
        DataError: ``out`` holds images or labels, and no report of an earlier conversion.
    """
    for folder in FOLDERS:
        if (out / folder).is_dir() and any((out / folder).iterdir()):
            raise DataError(
                f"out={out} holds {folder}/ that rsdet convert did not write (no {REPORT_NAME}); choose an empty folder"
            )


def check_kept(
    kept: dict[str, SplitReport], before: ConvertReport, dataset: Dataset, out: Path, to: str, task: str
) -> None:
    """Refuse class numbers that mean two things, and labels of two forms, in one folder.

    Raises:
        DataError: A split that stays in ``out`` has other class names, or was written in another form.
    """
    if kept and before.names != dataset.names:
        raise DataError(
            f"out={out} holds {', '.join(kept)} with the classes {', '.join(before.names)}, the source has "
            f"{', '.join(dataset.names)}; give names= to make them equal, or choose another out"
        )
    for split, part in kept.items():
        for key, here, there in (("task", task, part.task), ("to", to, part.to)):
            if here != there:
                raise DataError(f"out={out} holds {split} for {key}={there}; give that {key}=, or choose another out")


def kept_splits(
    before: ConvertReport, source: Path, format: str, split: str | None, new: set[str]
) -> dict[str, SplitReport]:
    """Splits of earlier calls that stay: those of other sources, and those this call was told not to read."""
    here = os.path.abspath(source)
    return {
        name: part
        for name, part in before.splits.items()
        if name and name not in new and (part.source != here or part.format != format or split is not None)
    }


def marked(before: ConvertReport, after: ConvertReport) -> ConvertReport:
    """What is on disk while the conversion runs: the files of both, not complete.

    Should it be interrupted, the next run knows what is ours.
    """
    marked = ConvertReport(after.out, after.data_yaml, after.names, dict(after.splits))
    for name, part in before.splits.items():
        merged = SplitReport(**vars(marked.splits.get(name, part)))
        merged.files = {**part.files, **merged.files}
        marked.splits[name] = merged
    return marked


def remove_stale(before: ConvertReport | None, after: ConvertReport) -> None:
    """Take away files that an earlier conversion wrote and this one does not."""
    if before and before.data_yaml and not any(part.to == "yolo" for s, part in after.splits.items() if s):
        before.data_yaml.unlink(missing_ok=True)  # it would train on pictures whose labels are elsewhere now
    for split, old in before.splits.items() if before else ():
        new = after.splits.get(split, SplitReport(to=""))
        if old.to != new.to:
            (after.out / "annotations" / f"{split}.json").unlink(missing_ok=True)
        kept_stems = {Path(name).stem for name in new.files} if old.to == new.to else set()
        for name in old.files:
            if name not in new.files:
                (after.out / "images" / split / name).unlink(missing_ok=True)
            if Path(name).stem not in kept_stems:
                for folder, suffix in LABELS.items():
                    (after.out / folder / split / f"{Path(name).stem}{suffix}").unlink(missing_ok=True)
        if split not in after.splits:
            for folder in ("images", *LABELS):
                place = after.out / folder / split
                if place.is_dir() and not any(place.iterdir()):
                    place.rmdir()
