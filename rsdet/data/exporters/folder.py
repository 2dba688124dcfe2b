"""Pictures of a data set with their labels or masks, in the folders that Ultralytics trains on, and the data YAML."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from rsdet.data.annotations import Dataset, ImageRecord
from rsdet.data.difficult import FOLDER
from rsdet.data.exporters.coco import write_coco
from rsdet.data.exporters.dota import dota_labels
from rsdet.data.exporters.semantic import MASKS, MaskWriter
from rsdet.data.exporters.yolo import ignore_labels, yolo_labels
from rsdet.data.files import place_image
from rsdet.data.importers import ImportOptions
from rsdet.data.masks.maps import ClassMaps
from rsdet.data.report import ConvertReport
from rsdet.data.tile_files import write_tiles
from rsdet.writing import write_if_changed

SEMANTIC = "semantic"


def write_labels(
    dataset: Dataset, report: ConvertReport, to: str, link: str, task: str, options: ImportOptions
) -> None:
    """Write pictures and labels, and ignored regions and difficult objects beside those.

    Args:
        dataset: What is written.
        report: Says where.
        to: ``yolo``, ``coco`` or ``dota``.
        link: ``copy`` the images, ``symlink`` or ``hardlink`` them.
        task: The form of the labels.
        options: Says how far it is.
    """
    out = report.out
    for split, records in dataset.splits.items():
        if to == "yolo":
            (out / "ignore" / split).mkdir(parents=True, exist_ok=True)
        for path, of_one in itertools.groupby(options.track(records, f"writing {split}"), lambda r: r.path):
            if path is not None:
                _write_images(path, [(r, out / "images" / split / r.name) for r in of_one], link)
        for record in records:
            if to == "dota":
                text = dota_labels(record, dataset.names, task)
                write_if_changed(out / "labelTxt" / split / f"{record.stem}.txt", text)
            if to != "yolo":
                continue
            write_if_changed(out / "labels" / split / f"{record.stem}.txt", yolo_labels(record, task))
            hard = yolo_labels(replace(record, objects=[o for o in record.objects if o.difficult]), task)
            for folder, rows in (("ignore", ignore_labels(record)), (FOLDER, hard)):
                beside = out / folder / split / f"{record.stem}.txt"
                if rows:
                    write_if_changed(beside, rows)
                else:
                    beside.unlink(missing_ok=True)
    if to == "coco":
        write_coco(dataset, out / "annotations", task=task)


def write_maps(dataset: Dataset, report: ConvertReport, link: str, maps: ClassMaps, options: ImportOptions) -> None:
    """Write pictures and masks of classes, and count their pixels; see :func:`write_labels` for the arguments."""
    for split, records in dataset.splits.items():
        writer, images = MaskWriter(maps), report.out / "images" / split
        for path, of_one in itertools.groupby(options.track(records, f"writing {split}"), lambda r: r.path):
            same = list(of_one)
            if path is not None:
                _write_images(path, [(r, images / r.name) for r in same], link)
            for record in same:
                writer.write(record, report.out / MASKS / split)
        part = report.splits[split]
        part.pixels = maps.shown(writer.counts)
        for (how, name), n in sorted(writer.how.items()):
            part.forms.setdefault(how, {})[name] = n


def _write_images(path: Path, targets: Sequence[tuple[ImageRecord, Path]], link: str) -> None:
    """Bring a picture, or its tiles, to where they belong."""
    for record, target in targets:
        if record.window is None:
            place_image(path, target, link)
    write_tiles(path, [(r, target) for r, target in targets if r.window is not None])


def data_yaml_text(report: ConvertReport, how: str, task: str, extra: dict | None) -> str:
    """The data YAML; ``how`` says what it was made with.

    It has no ``path:``, so Ultralytics takes the folder the file lies in, and the dataset can be moved. Ultralytics
    needs both ``train`` and ``val``; where the source has one of them only, it stands for both, with a comment.
    """
    have = sorted(split for split, part in report.splits.items() if split and part.files)
    train = next((s for s in ("train", "trainval", "val", *have) if s in have), None)
    val = next((s for s in ("val", "test", "trainval", "train", *have) if s in have), None)
    lines = [f"# Written by rsdet convert ({how}); paths are relative to this file."]
    if val != "val" or train not in ("train", "trainval"):
        report.remark = (
            f"the source has only {', '.join(have)}; train and val are the same images. Accuracy on images that were "
            "trained on says nothing."
            if train == val
            else f"the source has {', '.join(have)}; train is {train} and val is {val}."
        )
        lines.append(f"# NOTE: {report.remark}")
    keys: dict[str, object] = {"train": f"images/{train}", "val": f"images/{val}"}
    if "test" in have:
        keys["test"] = "images/test"
    keys |= {f"{s}": f"images/{s}" for s in have if s not in ("train", "val", "test")}
    keys["names"] = dict(enumerate(report.names))
    if task == SEMANTIC:
        return "\n".join(lines) + "\n" + _dumped({**keys, "masks_dir": MASKS, "task": task, **(extra or {})})
    keys["ignore"] = "ignore"
    if any((report.out / FOLDER).rglob("*.txt")):
        keys["difficult"] = FOLDER
    keys["task"] = task
    keys |= extra or {}
    return "\n".join(lines) + "\n" + _dumped(keys)


def _dumped(keys: dict[str, object]) -> str:
    return yaml.safe_dump(keys, sort_keys=False, allow_unicode=True)
