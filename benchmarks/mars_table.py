"""The page and the JSON of ``mars_terrain.py`` from the rows of its runs."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rows import mean_and_deviation, write_page

NAMES = {
    "supervised": "supervised", "mean-teacher": "Mean Teacher", "unimatch": "UniMatch", "s5mars": "S5Mars",
    "s5mars-without-augin": "without AugIN", "s5mars-without-mix": "without pasting",
    "s5mars-hard-only": "hard pseudo-labels alone", "s5mars-soft-only": "soft pseudo-labels alone",
    "s5mars-strict": "hard pseudo-labels from a confidence of 0.95",
    "s5mars-light": "a quarter of the weight of pseudo-labels",
    "s5mars-components": "components of pseudo-labels instead of superpixels",
}  # fmt: skip
COLUMNS = ("seeds", "mIoU %", "mAcc %", "pixel accuracy %", "IoU soil", "IoU bedrock", "IoU sand", "IoU big rock")


def of(rows: Sequence[dict[str, Any]], method: str, share: float) -> list[dict[str, Any]]:
    """Runs of a method, by seed."""
    found = [r for r in rows if (r["method"], r["labeled"]) == (method, share)]
    return sorted(found, key=lambda r: r["seed"])


def table(rows: Sequence[dict[str, Any]], methods: Sequence[str], share: float) -> list[str]:
    """Mean and deviation of each method, a line each; methods without a run are left out."""
    head = ("method", *COLUMNS, "labelled loss at the end", "training s")
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for method in methods:
        if runs := of(rows, method, share):
            cells = [NAMES[method], str(len(runs))]
            cells += [mean_and_deviation([r[k] for r in runs]) for k in ("miou", "macc", "accuracy")]
            cells += [mean_and_deviation([r["iou"][name] for r in runs], 1) for name in runs[0]["iou"]]
            cells.append(f"{statistics.mean(r['labelled_loss'] for r in runs):.3f}")
            lines.append(f"| {' | '.join([*cells, str(round(statistics.mean(r['train_seconds'] for r in runs)))])} |")
    return lines


def verdict(rows: Sequence[dict[str, Any]], methods: Sequence[str], share: float, against: str) -> list[str]:
    """Who has the best mean, and by how much each differs from one of them, seed by seed.

    Two methods of one seed see the same labelled pictures, so their difference varies less than either does. Means are
    named where all have the same seeds.
    """
    means = {m: statistics.mean(r["miou"] for r in of(rows, m, share)) for m in methods if of(rows, m, share)}
    if against not in means or len(means) < 2:
        return []
    best = max(means, key=lambda m: means[m])
    told = f"Highest mean mIoU: **{NAMES[best]}**, {100 * means[best]:.2f} %."
    if len({tuple(r["seed"] for r in of(rows, m, share)) for m in means}) > 1:
        told = "Not all have the same seeds, so means are not to be compared."
    lines = [f"{told} mIoU against {NAMES[against]}, seed by seed:", ""]
    base = {r["seed"]: r["miou"] for r in of(rows, against, share)}
    for method in means:
        gains = [100 * (r["miou"] - base[r["seed"]]) for r in of(rows, method, share) if r["seed"] in base]
        if method != against and gains:
            told = ", ".join(f"{g:+.2f}" for g in gains)
            agree = "" if len(gains) < 2 or len({g > 0 for g in gains}) == 1 else "; the seeds disagree"
            lines.append(f"- {NAMES[method]}: {statistics.mean(gains):+.2f} points (by seed {told}){agree}.")
    return lines


def pseudo_table(judged: Sequence[dict[str, Any]], methods: Sequence[str]) -> list[str]:
    """How many pseudo-labels count and are right, a line each method."""
    lines = [
        "| method | seeds | counts above | pixels above % | of these right % | of all right % |", f"|{' --- |' * 6}"
    ]  # fmt: skip
    for method in methods:
        if runs := [j for j in judged if j["method"] == method]:
            cells = [NAMES[method], str(len(runs)), f"{runs[0]['threshold']:g}"]
            cells += [mean_and_deviation([j[k] for j in runs], 1) for k in ("above", "right_above", "right")]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def page(
    rows: Sequence[dict[str, Any]],
    judged: Sequence[dict[str, Any]],
    compared: Sequence[str],
    ablated: Sequence[str],
) -> list[str]:
    """Lines of the page."""
    one = rows[0]
    s = one["settings"]
    lines = [
        "# Semi-supervised segmentation of Mars terrain", "",
        f"150 pictures of Curiosity's navigation cameras (AI4Mars; soil, bedrock, sand, big rock; two fifths of the "
        f"pixels are not labelled), shrunk to {s['side']} px: 100 for training, 50 for the test. Whole sites of the "
        "rover are held back, drawn once, so that no test picture shows the ground of a training picture. Which 20 % "
        "of the training pictures have labels is drawn by the seed of a run, the same for all methods.", "",
        f"Every run: `{s['model']}`, scale {s['scale']} (a ResNet-18 a quarter as wide; {one['params_m']:.2f} M "
        f"parameters, {one['gflops']:.2f} GFLOPs at {s['side']} px) from scratch, {one['steps']} steps of {s['batch']} "
        f"labelled pictures and as many others, AdamW at {s['lr']:g} falling as a cosine, momentum of the teacher at "
        f"most {s['momentum']:g}, for all methods. Measured is the teacher of the last step, so nothing was chosen on "
        "the test. Mean ± standard deviation over the seeds.", "",
    ]  # fmt: skip
    for share in sorted({r["labeled"] for r in rows}):
        lines += [f"## {100 * share:g} % of the training pictures with labels", "", *table(rows, compared, share), ""]
        lines += [*verdict(rows, compared, share, "supervised"), ""]
    parts = ["s5mars", *ablated]
    lines += [
        "The labelled loss is that of the labelled pictures in the last epoch, without anything pasted or changed: how "
        "far a method has come with what all of them are told.", "",
    ]  # fmt: skip
    if any(r["method"] in ablated for r in rows):
        lines += ["## Parts of S5Mars, 20 % with labels", "", *table(rows, parts, 0.2), ""]
        lines += [*verdict(rows, parts, 0.2, "s5mars"), ""]
    if judged:
        lines += [
            "## Pseudo-labels at the end of the training, 20 % with labels", "",
            "What the network says of the training pictures that were without labels, by their masks: how much of "
            "it the hard loss takes for true, and how much of that is.", "",
            *pseudo_table(judged, [*compared, *ablated]), "",
        ]  # fmt: skip
    lines += [
        "## What was cut", "",
        "- Size. The paper trains a ResNet-50 of 40 M parameters from ImageNet weights, for 150,000 steps of 8 + 8 "
        "crops of 512 px, on 5000 pictures. These numbers say how the methods compare on a very small budget from "
        "scratch, not how far they go.",
        "- Momentum 0.99 instead of 0.996: a memory of 250 steps is half of this training.",
        "- Objects to paste are superpixels (`rsdet masks`), not Segment Anything's, whose weights are a download. At "
        "this size two thirds of them have fewer than the 100 px that S5Mars asks for, so a rectangle is pasted "
        "instead.",
        "- The pictures are grey: changes of hue and saturation, two of the four of UniMatch, do nothing to them.",
        "- Equal steps are not equal time, as the last column says: a step of UniMatch sees four times the pictures "
        "of a supervised one.",
        f"- {one['steps']} steps show a labelled picture five times as often where only a fifth of them is labelled. "
        "With all labels the loss of what is labelled is still high at the end: the second table is of unfinished "
        "trainings.",
        "- The rows with another confidence and another weight of pseudo-labels were added after the comparison had "
        "been seen, to find out what holds S5Mars back; they are no tuned S5Mars.",
        "- The learning rate was chosen of three for supervised training alone, on another split of the same pictures. "
        "Three runs on crops of pictures of 256 px had been looked at before; they fitted even the training pictures "
        "badly, so all was shrunk. Nothing else was tuned, for no method.", "",
        f"Command: `python benchmarks/{one['command']}`; {one['hardware']['cpu']}, {one['hardware']['threads']} "
        f"thread, torch {one['hardware']['torch']}, {one['hardware']['date'][:10]}; the machine had other work, so "
        "training times are upper bounds. No pictures are shown, since the set states no licence.", "",
    ]  # fmt: skip
    return lines


def write(
    rows: Sequence[dict[str, Any]],
    work: Path,
    out: Path,
    compared: Sequence[str],
    ablated: Sequence[str],
) -> Path:
    """Write ``mars-terrain.json`` and ``mars-terrain.md``."""
    exports, judged = (
        json.loads(f.read_text()) if f.is_file() else [] for f in (work / "exports.json", work / "pseudo.json")
    )
    (out / "mars-terrain.json").write_text(
        json.dumps({"runs": list(rows), "pseudo_labels": judged, "exports": exports}, indent=1) + "\n"
    )
    return write_page(out / "mars-terrain.md", page(rows, judged, compared, ablated), exports)
