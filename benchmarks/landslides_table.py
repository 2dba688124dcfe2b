"""Page, JSON and picture of ``landslides.py`` from what its runs have written."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from rows import mean_and_deviation, write_page

SETS = {
    "demo-insar": "Deformation in simulated InSAR velocities (`data=demo-insar`)",
    "bijie": "Landslides in satellite pictures (Bijie, 16 pictures for training, 8 for the test)",
}
SHOWN, ENLARGED = 3, 2  # maps of the picture, and how much larger than they are
TRUTH, FOUND = (255, 255, 255), (0, 160, 255)  # outlines, BGR


def of(rows: Sequence[dict[str, Any]], kind: str, model: str) -> list[dict[str, Any]]:
    """Runs of a network on a set, by seed."""
    return sorted((r for r in rows if (r["set"], r["model"]) == (kind, model)), key=lambda r: r["seed"])


def table(rows: Sequence[dict[str, Any]], kind: str, names: Mapping[str, str]) -> list[str]:
    """Scores of the positive class and cost, a line for each network that has a run."""
    head = ("network", "seeds", "IoU %", "F1 %", "precision %", "recall %", "M parameters", "GFLOPs at 256 px")
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for model, name in names.items():
        if runs := of(rows, kind, model):
            cells = [name, str(len(runs))]
            cells += [mean_and_deviation([r[k] for r in runs]) for k in ("iou", "f1", "precision", "recall")]
            cells += [f"{runs[0]['params_m']:.3f}", f"{runs[0]['gflops_256']:.2f}"]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def verdict(rows: Sequence[dict[str, Any]], kind: str, names: Mapping[str, str], against: str) -> list[str]:
    """How the IoU of each network differs from that of one of them, seed by seed."""
    means = {m: statistics.mean(r["iou"] for r in of(rows, kind, m)) for m in names if of(rows, kind, m)}
    best = max(means, key=lambda m: means[m])
    base = {r["seed"]: r["iou"] for r in of(rows, kind, against)}
    told = f"Highest mean IoU: **{names[best]}**, {100 * means[best]:.2f} %."
    if len({tuple(r["seed"] for r in of(rows, kind, m)) for m in means}) > 1:
        told = "Not all have the same seeds, so means are not to be compared."
    lines = [f"{told} IoU, seed by seed:", ""]
    for model, name in names.items():
        gains = [100 * (r["iou"] - base[r["seed"]]) for r in of(rows, kind, model) if r["seed"] in base]
        if model != against and gains:
            told = ", ".join(f"{g:+.2f}" for g in gains)
            agree = "" if len(gains) < 2 or len({g > 0 for g in gains}) == 1 else "; the seeds disagree"
            mean = statistics.mean(gains)
            lines.append(f"- {name} against {names[against]}: {mean:+.2f} points (by seed {told}){agree}.")
    return lines


def memory(rows: Sequence[dict[str, Any]], names: Mapping[str, str]) -> list[str]:
    """Peak memory of a forward pass, a line for each network and size."""
    lines = ["| network | size | 256 px | 512 px |", "| --- | --- | --- | --- |"]
    for size, told in (("n", "as above"), ("full", "the paper's; U-Net: ResNet-34")):
        for model, name in names.items():
            found = {r["side"]: r for r in rows if (r["model"], r["size"]) == (model, size)}
            if found:
                cells = [f"{found[s]['mib']:.0f} MiB, {found[s]['seconds']:.2f} s" if s in found else "-"
                         for s in (256, 512)]  # fmt: skip
                lines.append(f"| {name.partition(', ResNet')[0]} | {told} | {' | '.join(cells)} |")
    return lines


def picture(work: Path, file: Path, models: Mapping[str, str]) -> None:
    """Test maps of the simulated set, a row each: as they are, and outlines of the truth and of what networks find."""
    from rsdet import RSDet

    data = next(work.glob("demo-insar-*"))
    images = sorted((data / "images" / "val").iterdir())
    masks = [np.asarray(Image.open(data / "masks" / "val" / f"{p.stem}.png")) for p in images]
    chosen = sorted(range(len(images)), key=lambda i: -int((masks[i] == 1).sum()))[: 2 * SHOWN : 2]
    grey = [_grey(images[i]) for i in chosen]
    columns = [
        ("velocity", grey),
        ("truth", [_outlined(g, masks[i] == 1, TRUTH) for g, i in zip(grey, chosen, strict=True)]),
    ]
    for model, name in models.items():
        network = RSDet(work / "runs" / f"demo-insar-{model}-seed0" / "weights" / "last.pt")
        cells = []
        for g, i in zip(grey, chosen, strict=True):
            (found,) = network.predict(
                images[i],
                imgsz=len(masks[i]),
                verbose=False,
                project=str(work / "predicted"),
                name=model,
                exist_ok=True,
            )
            classes = np.asarray(Image.open(found.save_path))  # the numbers, not the colours of the table
            cells.append(_outlined(_outlined(g, masks[i] == 1, TRUTH), classes == 1, FOUND))
        columns.append((name.partition(",")[0], cells))
    shown = []
    for name, cells in columns:
        head = np.full((22, cells[0].shape[1], 3), 255, np.uint8)
        cv2.putText(head, name, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        shown.append(np.vstack([head, *cells]))
    cv2.imwrite(str(file), np.hstack(shown), [cv2.IMWRITE_JPEG_QUALITY, 85])


def _grey(file: Path) -> np.ndarray:
    """Velocity of -100 to 100 mm/y as grey, no velocity as dark blue, enlarged."""
    velocity = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    grey = np.nan_to_num((velocity + 100) / 200 * 255).clip(0, 255).astype(np.uint8)
    shown = np.where(np.isnan(velocity)[..., None], np.uint8((70, 20, 20)), grey[..., None])
    return cv2.resize(shown, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_NEAREST)


def _outlined(shown: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    mask = cv2.resize(mask.astype(np.uint8), shown.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(shown.copy(), outlines, -1, colour, 1)


def page(
    rows: Sequence[dict[str, Any]], measured: Sequence[dict[str, Any]], names: Mapping[str, str], shown: bool
) -> list[str]:
    """Lines of the page."""
    one = rows[0]
    s = one["settings"]
    lines = [
        "# Landslides: Hybrid-SegUFormer and a U-Net of equal cost", "",
        f"`hybrid-seguformer-n.yaml` (trained against its own teacher, as the paper does) and a U-Net of "
        f"segmentation-models-pytorch (`smp.yaml`, ResNet-10t cut at stride 16) of as many operations and more "
        f"parameters, from scratch: {one['steps']} steps of {s['batch']}, {s['side']} px, AdamW at {s['lr']:g} "
        "falling as a cosine. Measured is the mean of the weights (momentum 0.99) after the last step, so nothing was "
        "chosen on the test. Mean ± standard deviation over the seeds; scores are of the positive class.", "",
    ]  # fmt: skip
    for kind, title in SETS.items():
        if any(r["set"] == kind for r in rows):
            lines += [f"## {title}", "", *table(rows, kind, names), "", *verdict(rows, kind, names, "unet"), ""]
    if shown:
        lines += ["![Test maps: white is the truth, orange what is found](landslides.jpg)", ""]
    if measured:
        lines += [
            "## Memory and time of a forward pass", "",
            "One picture, float32, PyTorch, one thread, no gradients; growth of the resident memory in a process of "
            "its own. Whole attention costs time rather than memory here, since PyTorch keeps no matrix of scores; an "
            "exported graph does.", "",
            *memory(measured, names), "",
        ]  # fmt: skip
    lines += [
        "## What was cut", "",
        "- The paper's set of 1975 InSAR tiles is not public; the maps here are simulated "
        f"({s['maps'][0]} for training, {s['maps'][1]} for the test), and nothing follows from them for real ground.",
        "- Bijie's 24 pictures are a fraction of the set; 8 test pictures say little, whatever the digits.",
        "- The simulated velocities were read as 8-bit grey from -100 to +100 mm/y with no data at the lowest level, "
        "as before `quantity: velocity` was there, which puts no data in the middle. Both networks saw the same.",
        f"- A quarter of the paper's width, {s['side']} px instead of 256 px. {one['steps']} steps are a beginning: "
        "what is compared is how fast these networks learn at equal cost, more than where they end. Nothing was tuned "
        "for either.",
        "- The U-Net learns from labels alone. How much of the difference is the teacher's was not measured.", "",
        f"Command: `python benchmarks/{one['command']}`; {one['hardware']['cpu']}, {one['hardware']['threads']} "
        f"thread, torch {one['hardware']['torch']}, {one['hardware']['date'][:10]}; the machine had other work.", "",
    ]  # fmt: skip
    return lines


def write(work: Path, out: Path, names: Mapping[str, str], rows: list[Any], measured: list[Any]) -> Path:
    """Write ``landslides.json``, ``.md`` and, where both networks of seed 0 are there, ``.jpg``."""
    exports = json.loads((work / "exports.json").read_text()) if (work / "exports.json").is_file() else []
    pictured = {k: names[k] for k in ("hybrid", "unet") if of(rows, "demo-insar", k)}
    if pictured:
        picture(work, out / "landslides.jpg", pictured)
    content = {"runs": rows, "memory": measured, "exports": exports}
    (out / "landslides.json").write_text(json.dumps(content, indent=1) + "\n")
    return write_page(out / "landslides.md", page(rows, measured, names, bool(pictured)), exports)
