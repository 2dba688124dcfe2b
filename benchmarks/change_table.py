"""Page, JSON and pictures of ``change.py`` from what its runs have written; pictures show rendered places alone."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rows import mean_and_deviation, write_page

from rsdet.figures import new_figure, png_of
from rsdet.writing import write_bytes

SHOWN, ENLARGED = 4, 2  # places of the picture, and how much larger than they are
MEASURES = {
    "F1": "F1", "average_precision": "average precision", "precision": "precision", "recall": "recall", "IoU": "IoU",
    "kappa": "kappa", "object_recall": "objects hit",
}  # fmt: skip


def of(rows: Sequence[dict[str, Any]], model: str) -> list[dict[str, Any]]:
    """Runs of a network, by seed."""
    return sorted((r for r in rows if r["model"] == model), key=lambda r: r["seed"])


def table(rows: Sequence[dict[str, Any]], names: Mapping[str, str], pick: Any) -> list[str]:
    """Measures of the changed pixels, a line for each network that has a run."""
    known = {k: title for k, title in MEASURES.items() if all(k in pick(r) for r in rows)}
    head = ("network", "seeds", *(f"{title} %" for title in known.values()), "M parameters", "GFLOPs at 256 px")
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for model, name in names.items():
        if runs := of(rows, model):
            cells = [name, str(len(runs)), *(mean_and_deviation([pick(r)[k] for r in runs]) for k in known)]
            lines.append(f"| {' | '.join(cells)} | {runs[0]['params_m']:.3f} | {runs[0]['gflops_256']:.2f} |")
    return lines


def verdict(rows: Sequence[dict[str, Any]], names: Mapping[str, str], pick: Any) -> list[str]:
    """How the F1 of SSA-Net differs from that of the others, seed by seed, and what finding everything would give."""
    mine = {r["seed"]: pick(r)["F1"] for r in of(rows, "ssa-net")}
    lines = []
    for model, name in names.items():
        gains = [100 * (mine[r["seed"]] - pick(r)["F1"]) for r in of(rows, model) if r["seed"] in mine]
        if model != "ssa-net" and gains:
            agree = "" if len(gains) < 2 or len({g > 0 for g in gains}) == 1 else "; the seeds disagree"
            mean, told = statistics.mean(gains), ", ".join(f"{g:+.2f}" for g in gains)
            lines.append(f"- SSA-Net against {name}: {mean:+.2f} points of F1 (by seed {told}){agree}.")
    if len({tuple(r["seed"] for r in of(rows, model)) for model in names}) > 1:
        lines.append("- Not all have the same seeds, so means are not to be compared.")
    share = pick(rows[0])["changed"]
    every = 2 * share / (1 + share)
    best = max(statistics.mean(pick(r)["F1"] for r in of(rows, model)) for model in names if of(rows, model))
    told = "" if best > every else "; none of them reaches that yet"
    lines.append(
        f"- Calling every pixel changed gives an F1 of {100 * every:.2f} %, as {100 * share:.1f} % have changed{told}."
    )
    return lines


def shift_table(rows: Sequence[dict[str, Any]], names: Mapping[str, str], shifts: Sequence[int]) -> list[str]:
    """F1 by shift, a line for each network."""
    lines = [f"| network | {' | '.join(f'{s} px' for s in shifts)} |", f"|{' --- |' * (len(shifts) + 1)}"]
    for model, name in names.items():
        if runs := of(rows, model):
            cells = [mean_and_deviation([r["rendered"][f"shift{s}"]["F1"] for r in runs]) for s in shifts]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def curve(file: Path, rows: Sequence[dict[str, Any]], names: Mapping[str, str], shifts: Sequence[int]) -> None:
    """Draw F1 by shift, a line for each network and a dot for each seed."""
    figure, axes = new_figure(5.5, 3.4)
    for number, (model, name) in enumerate(names.items()):
        runs = of(rows, model)
        values = np.array([[100 * r["rendered"][f"shift{s}"]["F1"] for s in shifts] for r in runs])
        if len(values):
            axes.plot(shifts, values.mean(0), label=name, color=f"C{number}")
            axes.plot(shifts, values.T, ".", color=f"C{number}", alpha=0.5)
    axes.set(xlabel="later date moved by, px", ylabel="F1 of changed pixels, %", xticks=list(shifts))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    write_bytes(file, png_of(figure))


def picture(work: Path, file: Path, names: Mapping[str, str], side: int) -> None:
    """Rendered places of the test, a row each: both dates, and where each network is right and wrong."""
    from rsdet import RSDet
    from rsdet.data.dates import date_pairs, read_label, read_pair
    from rsdet.tasks.change.visual import dates_of, error_map

    folder = next(work.glob("rendered-*"))
    pairs = date_pairs({"path": folder, "val": "shift0"}, "val")
    pairs = sorted(pairs, key=lambda p: -int((read_label(p) == 1).sum()))[: 2 * SHOWN : 2]
    columns = {title: [dates_of(read_pair(p))[i] for p in pairs] for i, title in enumerate(("before", "after"))}
    for model, name in names.items():
        weights = work / "runs" / f"{model}-seed0" / "weights" / "last.pt"
        if weights.is_file():
            found = RSDet(weights).predict(
                source=[str(p.before) for p in pairs], source2=[str(p.after) for p in pairs], imgsz=side, overlap=0,
                save=False, verbose=False, project=str(work / "predicted"), exist_ok=True,
            )  # fmt: skip
            maps = (error_map(read_label(p), f.changed) for p, f in zip(pairs, found, strict=True))
            columns[name] = list(maps)
    shown = []
    for name, cells in columns.items():
        head = np.full((22, ENLARGED * cells[0].shape[1] + 4, 3), 255, np.uint8)
        cv2.putText(head, name, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        big = [cv2.resize(c, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_NEAREST) for c in cells]
        edged = [cv2.copyMakeBorder(b, 0, 4, 0, 4, cv2.BORDER_CONSTANT, value=(255, 255, 255)) for b in big]
        shown.append(np.vstack([head, *edged]))
    cv2.imwrite(str(file), np.hstack(shown)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


def page(rows: Sequence[dict[str, Any]], names: Mapping[str, str], shifts: Sequence[int]) -> list[str]:
    """Lines of the page."""
    one = rows[0]
    s, hardware = one["settings"], one["hardware"]
    lines = [
        "# Changes between two dates: SSA-Net, FC-Siam-diff and TinyCD on one budget", "",
        f"About {s['steps']} steps of {s['batch']} windows of {s['side']} px on {s['places'][0]} rendered "
        f"places, Adam at {s['lr']:g} that falls by the paper's polynomial, cross-entropy and Dice over the batch, "
        "the same for all three. Measured are the weights of the last step, so nothing was chosen on the test; mean "
        "± standard deviation over the seeds, of the changed pixels, from one confusion matrix over the test.", "",
        "**This is small: a minute of one thread for each network, a thousandth of what papers spend. It shows how "
        "fast the three learn at first, and nothing of where they end: of one that finds nothing here, nothing else is "
        "to be thought.** `rsdet train model=ssa-net.yaml "
        "data=levir-cd.yaml` settles that; SSA-Net's paper reports its private set alone.", "",
        f"## Rendered places ({s['places'][1]} for the test, as `data=demo-change`)", "",
        *table(rows, names, lambda r: r["rendered"]["shift0"]), "",
        *verdict(rows, names, lambda r: r["rendered"]["shift0"]), "",
        "![Both dates and where each network is right: hit white, false red, missed green](change.jpg)", "",
        "## What a shift between the dates costs", "",
        "F1 in percent on the same places with the later date moved to the right, beyond the displacement of up to a "
        "pixel that every rendered place has. None of the networks has learnt from shifted pairs.", "",
        *shift_table(rows, names, shifts), "",
        "![F1 by shift](change_shift.png)", "",
    ]  # fmt: skip
    if "real" in one:
        lines += [
            "## Real pairs (8 for training, 7 for the test, of LEVIR-CD and DSIFN-CD)", "",
            f"The same networks, about {s['real_steps']} steps further on 8 real pairs of 256 x 256. The test is every "
            "second pair by name; 7 pictures say little, whatever the digits, and DSIFN-CD marks land cover, not "
            "houses alone.",
            "", *table(rows, names, lambda r: r["real"]), "", *verdict(rows, names, lambda r: r["real"]), "",
            "Before they saw a real pair:", "", *table(rows, names, lambda r: r["untouched"]), "",
        ]  # fmt: skip
    lines += [
        f"Command: `python benchmarks/{one['command']}`; {hardware['cpu']}, {hardware['threads']} thread, "
        f"torch {hardware['torch']}, {hardware['date'][:10]}; the machine had other work, so seconds are "
        "left out of the tables.", "",
    ]  # fmt: skip
    return lines


def write(
    args: argparse.Namespace, names: Mapping[str, str], shifts: Sequence[int], rows: list[dict[str, Any]]
) -> Path:
    """Write ``change.json``, ``.md``, ``.jpg`` and ``change_shift.png``."""
    picture(args.work, args.out / "change.jpg", names, rows[0]["settings"]["side"])
    curve(args.out / "change_shift.png", rows, names, shifts)
    content = {"runs": rows}
    (args.out / "change.json").write_text(json.dumps(content, indent=1) + "\n")
    return write_page(args.out / "change.md", page(rows, names, shifts), [])
