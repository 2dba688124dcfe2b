"""``rsdet predict`` of exported parts without PyTorch and Ultralytics, where questions are given."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.decoding import within_memory
from rsdet.data.images import SUFFIXES
from rsdet.data.pictures import reader_of
from rsdet.data.sources import files_of, first_of, name_problem, together
from rsdet.errors import DataError
from rsdet.names import printable
from rsdet.progress import Line
from rsdet.runtime.light import Summary
from rsdet.runtime.metadata import say_untrained
from rsdet.tasks.detect.runtime.cli import TAKES, flag, or_none, run_folder, understood, whole
from rsdet.tasks.vqa.asking import Asked
from rsdet.tasks.vqa.exported import Parts
from rsdet.tasks.vqa.outputs import AnswerFiles
from rsdet.tasks.vqa.results import VqaResults
from rsdet.tasks.vqa.scenes import Looking, ask_scene, footprint, is_scene

_STOCK = ("model", "source", "task", "device", "imgsz", "save", "project", "name", "exist_ok", "bands", "verbose")
_TAKES = {
    **{key: TAKES[key] for key in _STOCK},
    "question": lambda v: isinstance(v, (str, list)),
    "questions": lambda v: isinstance(v, (str, Path)),
    "top": lambda v: type(v) is int and v >= 1,
    "min_confidence": lambda v: type(v) in (int, float) and 0 <= v <= 1,
    "temperature": lambda v: type(v) in (int, float) and 0.01 <= v <= 100,
    "save_attention": flag,
    "tile": or_none(whole),
}


def predict(args: Mapping[str, Any]) -> Summary | None:
    """Answer questions about pictures and rasters; see :func:`rsdet.runtime.light.predict`."""
    if not understood(args, _TAKES) or ("question" in args) == ("questions" in args):
        return None  # at a terminal, with a detector beside, or wrong: for the full path
    several = args["source"] if isinstance(args["source"], list) else [args["source"]]
    groups = [files_of(s) for s in several]
    found = [] if None in groups else together(several, groups)
    files = [p for p in found if p.suffix.lower() in SUFFIXES and not name_problem(p)]
    parts = Parts(args["model"]) if files else None
    if parts is None or max(np.ravel(args.get("imgsz", parts.side))) != parts.side:
        return None
    say_untrained(parts.said, parts.name)
    asked = Asked.of(args.get("question"), args.get("questions"))
    save, tell = args.get("save", True), args.get("verbose", True)
    reader = reader_of(None, 3, args.get("bands") or parts.said.get("bands"))
    how = args.get("top", 3), args.get("min_confidence", 0.0)
    answering = parts.answering(args.get("temperature", 1.0))
    look = Looking(answering, reader, args.get("tile") or parts.said.get("picture_px") or parts.side, *how)
    if tell:
        print(f"Using {parts.encoder.backend} on the CPU\n")
    folder, made = run_folder(args, "vqa", files, save), AnswerFiles()
    skipped = [f"{p} {name_problem(p) or 'is no image'}" for p in found if p not in files]
    try:
        for number, path in enumerate(files, 1):
            questions, began = asked.about(path), time.perf_counter()
            head = f"image {number}/{len(files)} {printable(str(path))}"
            if not questions:
                continue  # a file of questions may be about a part of a folder
            try:
                if is_scene(path, args.get("tile")):
                    with Line(head, tell) as line:
                        result = ask_scene(look, path, questions, line)
                else:
                    with within_memory(path):
                        picture = reader(path)
                    answers = answering.answers(answering.encoded(picture), questions, *how)
                    result = VqaResults(str(path), picture, picture.shape[:2], answers, footprint(path))
            except DataError as e:
                skipped.append(str(e).rstrip("."))
                continue
            name = made.name(result)
            made.add(name, result)
            if save and args.get("save_attention") and not result.tiles:
                made.write_attention(folder, name, result)
            if tell:
                print(f"{head}: {printable(result.summary())}, {(time.perf_counter() - began) * 1e3:.0f} ms")
    finally:  # what was answered before an interruption is kept
        if save:
            made.write(folder)
    if not made.pictures:
        raise DataError(first_of(skipped or ["the file of questions asks nothing of these pictures"]))
    from rsdet.tasks.vqa.task import TASK

    n = sum(map(len, made.pictures.values()))
    return Summary(len(made.pictures), n, folder, skipped, TASK.outcome(len(made.pictures), n))
