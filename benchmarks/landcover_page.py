"""The page, the JSON and the pictures of ``landcover.py`` from the rows of its runs."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rows import mean_and_deviation, rows_in

NAMES = {
    "cab-hl": "CAB-HL", "cab-hl-concat": "CAB-HL, concatenation", "cab-hl-hsi": "CAB-HL, cube alone",
    "cnn3d": "3-D CNN", "cnn2d": "2-D CNN", "svm": "SVM, pixels", "svm-pca": "SVM, PCA of pixels",
    "forest": "random forest, pixels", "forest-pca": "random forest, PCA of pixels",
}  # fmt: skip
MEASURES = ("OA", "AA", "kappa")
SPLITS = ("disjoint", "random")
MUUFL = "A cut of MUUFL Gulfport by spectra of its owner; there is no label map, and the red panel is no class."


def methods(rows: Sequence[dict[str, Any]], scene: str) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Scores of each method of a scene by split, seed by seed."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {name: {s: [] for s in SPLITS} for name in NAMES}
    for row in sorted(rows, key=lambda r: r["seed"]):
        for name, scores in row["scores"].items() if row["scene"] == scene else ():
            found[row["network"] if name == "model" else name][row["split"]].append(scores)
    return {name: splits for name, splits in found.items() if all(splits.values())}


def table(rows: Sequence[dict[str, Any]], scene: str) -> list[str]:
    """Both splits side by side, a method a line."""
    about = {r["network"]: r for r in rows if r["scene"] == scene}
    heads = [f"{split}: {m}" for split in SPLITS for m in MEASURES]
    lines = ["| method | parameters | M multiply-adds | " + " | ".join(heads) + " | OA, random - disjoint | seeds |",
             "| --- |" + " ---: |" * (len(heads) + 4)]  # fmt: skip
    for name, splits in methods(rows, scene).items():
        cells = [mean_and_deviation([s[m] for s in splits[split]]) for split in SPLITS for m in MEASURES]
        pairs = list(zip(splits["random"], splits["disjoint"], strict=False))  # of the seeds that both have
        gap = 100 * statistics.mean(r["OA"] - d["OA"] for r, d in pairs)
        size = [f"{about[name]['params']:,}", f"{about[name]['mmac']:.1f}"] if name in about else ["", ""]
        seeds = "/".join(str(len(splits[s])) for s in SPLITS)
        seeds = seeds.split("/")[0] if len(set(seeds.split("/"))) == 1 else seeds
        lines.append(f"| {' | '.join([NAMES[name], *size, *cells, f'{gap:+.1f}', seeds])} |")
    return lines


def class_table(rows: Sequence[dict[str, Any]], scene: str, shown: Sequence[str]) -> list[str]:
    """Accuracy of each class on the disjoint split."""
    found = methods(rows, scene)
    shown = [name for name in shown if name in found]
    names = next(r["classes"] for r in rows if r["scene"] == scene)
    lines = ["| class | " + " | ".join(f"{NAMES[n]}, {s}" for n in shown for s in SPLITS) + " |"]
    lines.append("| --- |" + " ---: |" * (2 * len(shown)))
    for k, name in enumerate(names.values()):
        cells = [mean_and_deviation([s["classes"][k] for s in found[n][split]], 1) for n in shown for split in SPLITS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def titled(picture: np.ndarray, text: str, factor: int) -> np.ndarray:
    """A picture (H, W, 3) RGB, enlarged, with a line above it."""
    picture = picture.repeat(factor, 0).repeat(factor, 1)
    room = np.full((22, picture.shape[1], 3), 24, np.uint8)
    cv2.putText(room, text, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (240, 240, 240), 1, cv2.LINE_AA)
    return np.pad(np.concatenate([room, picture]), ((0, 6), (0, 6), (0, 0)), constant_values=24)


def scene_picture(scene: str, network: str, args: argparse.Namespace) -> np.ndarray:
    """The scene, its class map, and the maps of a network and of an SVM that learnt on other ground."""
    from landcover import data_yaml, scene_of

    from rsdet import RSDet
    from rsdet.classical.pixel_classifiers import PixelClassifier
    from rsdet.tasks.landcover.data import read_land_data
    from rsdet.tasks.landcover.visual import beside, picture_of, shown_bands

    path = data_yaml(scene, "disjoint", 0, args)
    land = read_land_data(path, lidar=True)
    labels = scene_of(scene, args)["labels"]
    weights = args.work / "runs" / f"{scene}-{network}-disjoint-0" / "weights" / "last.pt"
    found = RSDet(weights).predict(path, verbose=False)[0].classes
    svm = PixelClassifier("svm").fit(land.values[land.train], land.labels[land.train])
    by_pixel = svm(land.values.reshape(-1, land.channels)).reshape(labels.shape).astype(np.uint8)
    shown = shown_bands(np.linspace(405, 2495, land.bands), land.bands)
    kinds = {
        "three bands": picture_of(land.values[..., shown]),
        "labels": land.palette[labels],
        NAMES[network]: land.palette[found],
        "SVM, pixels": land.palette[by_pixel],
    }
    canvas = np.concatenate([titled(picture, text, 3) for text, picture in kinds.items()], 1)
    return beside([canvas], labels.astype(np.uint8), land.names, land.palette)


def muufl_picture(args: argparse.Namespace) -> np.ndarray:
    """A cut of MUUFL Gulfport: spectra of the owner's five classes, and a forest that learnt these alone, on it.

    There is no label map, so nothing is measured; the red panel is none of the classes.
    """
    from scipy.io import loadmat

    from rsdet.classical.pixel_classifiers import PixelClassifier
    from rsdet.data.cubes.opening import open_cube
    from rsdet.figures import new_figure
    from rsdet.tasks.landcover.visual import beside, colours_of, picture_of, shown_bands

    file = args.muufl / "an_hsi_img_for_class_demo.mat"
    groups = loadmat(file, squeeze_me=True)["train_data"]
    names = {k: str(g["name"]) for k, g in enumerate(groups)}
    spectra = [np.asarray(g["Spectra"], np.float64) for g in groups]
    spectra = [x.T if x.shape[1] != 72 else x for x in spectra]
    classes = np.repeat(np.arange(len(names)) + 1, [len(x) for x in spectra])
    forest = PixelClassifier("forest").fit(np.concatenate(spectra), classes)
    palette, cells = colours_of(len(names), {}), []
    with open_cube(file, "hsi_sub") as cube:
        values, nm = cube.read(), cube.wavelengths_nm
    found = forest(values.reshape(-1, values.shape[2])).reshape(values.shape[:2]).astype(np.uint8)
    picture = picture_of(values[..., shown_bands(nm, values.shape[2])])
    pair = [titled(picture, "three bands", 14), titled(palette[found], "forest on the owner's spectra", 14)]
    cells.append(np.concatenate(pair, 1))
    figure, axes = new_figure(5.6, 3.4)
    for k, x in enumerate(spectra):
        colour = tuple(palette[k + 1] / 255)
        axes.plot(nm, x.mean(0), color=colour, label=f"{names[k]} ({len(x)})")
        axes.fill_between(nm, *(x.mean(0) + s * x.std(0) for s in (-1, 1)), color=colour, alpha=0.15)
    axes.set(xlabel="wavelength, nm", ylabel="reflectance")
    axes.legend(fontsize=7)
    figure.set_dpi(110)
    figure.canvas.draw()
    cells.append(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    width = max(c.shape[1] for c in cells)
    canvas = np.concatenate([np.pad(c, ((0, 0), (0, width - c.shape[1]), (0, 0)), constant_values=24) for c in cells])
    return beside([canvas], found, names, palette)


def pictures(args: argparse.Namespace) -> dict[str, str]:
    """Draw what is not drawn yet; file name and what it shows. Trento states no licence, so it is not shown."""
    kinds = {
        "landcover-demo-cube.jpg": ("The rendered cube, seed 0, training on other ground.",
                                    lambda: scene_picture("demo-cube", "cab-hl", args)),
        "landcover-muufl.jpg": (MUUFL,
                                lambda: muufl_picture(args)),
    }  # fmt: skip
    given = {"landcover-muufl.jpg": args.muufl}
    made = {}
    for name, (text, draw) in kinds.items():
        if given.get(name, True) is None:
            continue
        if not (args.out / name).is_file():
            cv2.imwrite(str(args.out / name), draw(), [cv2.IMWRITE_JPEG_QUALITY, 90])
        made[name] = text
    return made


def gather(args: argparse.Namespace) -> Path:
    """Write ``landcover.json``, ``landcover.md`` and the pictures."""
    rows = rows_in(args.work / "rows")
    first = rows[0]
    demo = [r for r in rows if r["scene"] == "demo-cube"]
    s, each = first["settings"], {r["test_pixels"] for r in demo}
    about = (
        f"`benchmarks/landcover.py`, {len(rows)} runs on {first['hardware']['cpu']}, one thread. Accuracies in "
        "percent, mean and standard deviation over seeds. Test pixels are the same in both columns of a line; "
        f"training pixels, {s['per_class']} of each class, are drawn from other ground (disjoint) or from all "
        "ground around them (random)."
    )
    sizes = (
        f"Networks are small, for one thread: {s['components']} components, patches of {s['patch']} px, b = "
        f"{s['base']}, {s['epochs']} epochs of batches of 16 at lr {s['lr']:g}; the last checkpoint is measured, "
        "nothing is chosen on the test. The plain CNNs cost as many multiply-adds. What follows is about splits; how "
        "CAB-HL does at the paper's size (20 components, 8 px, 150 epochs) on the paper's data was not run."
    )
    pixels = "/".join(map(str, sorted(each)))
    lines = [
        "# Land cover: what random pixels flatter",
        "",
        about,
        "",
        sizes,
        "",
        "## Rendered cube with LiDAR (`data=demo-cube`)",
        "",
        f"160 x 160 px, 96 good bands, height and intensity, 9 classes; {pixels} test pixels.",
        "",
        *table(rows, "demo-cube"),
        "",
        *class_table(rows, "demo-cube", ("cab-hl", "svm")),
        "",
    ]
    if any(r["scene"] == "trento-lidar" for r in rows):
        tested = "/".join(sorted({str(r["test_pixels"]) for r in rows if r["scene"] == "trento-lidar"}))
        lines += [
            "## Trento's LiDAR alone against its class map",
            "",
            "Two rasters, no cube; 600 x 166 px, six classes. Other ground: blocks of 40 px, a third of them tested, 8 "
            f"px between them; {tested} test pixels. The 2-D CNN sees patches of 7 px, SVM and "
            "forest single pixels.",
            "",
            *table(rows, "trento-lidar"),
            "",
            *class_table(rows, "trento-lidar", ("cnn2d", "svm")),
            "",
        ]
    for name, text in pictures(args).items():
        lines += [f"![{text}]({name})", "", text, ""]
    (args.out / "landcover.md").write_text("\n".join(lines))
    (args.out / "landcover.json").write_text(json.dumps(rows, indent=1) + "\n")
    return args.out / "landcover.md"
