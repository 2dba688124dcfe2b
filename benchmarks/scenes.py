"""Whole scenes: recall across the borders of tiles, memory, pixels per second, and what the tiling costs.

Mosaics of real pictures (``scene_mosaic.py``) of 10^8 to 10^9 px, and one of 10^11 px that is nearly all nodata, go
through ``rsdet predict`` with the detector of ``scene_weights.py``, exported to OpenVINO. Each step writes JSON into
the work folder and is not done again where that is there.

    python benchmarks/scenes.py oracle --data datasets --work runs/scenes
    python benchmarks/scenes.py run --data datasets --work runs/scenes --model runs/scenes/tiles_openvino_model
    python benchmarks/scenes.py recall ...      # and tax, draw, table

``oracle`` needs no model: in its place stands the truth, cut by the edge of each tile and moved at random, so that what
is lost is lost by the tiling. ``run`` reads what it wrote back with geopandas and rasterio alone.

Peak memory is ``ru_maxrss`` of the whole process. ``tax`` is pixels in tiles per second of ``rsdet predict``, start
included, over those of the network alone on the same batches, which stand before and after each run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scene_matching import matches, places
from scene_mosaic import Mosaic, write
from scene_pictures import pictures

TILE, OVERLAP_PX, CONF = 640, 128, 0.25
SCENES = {"1e8": (1e8, 0.0), "3e8": (3e8, 0.0), "1e9": (1e9, 0.0), "1e11-sparse": (1e11, 0.997)}  # pixels, nodata
CONTROLS = 1500  # objects of each place that are also looked at in the middle of a tile
MEBI = 2**20


def scene(name: str, args: argparse.Namespace) -> tuple[Path, np.ndarray]:
    """File of a scene, made where it is missing, and its truth (N, 4) xyxy in pixels."""
    file = args.work / f"mosaic-{name}.tif"
    if not file.is_file():
        write(Mosaic(pictures(args.data), *SCENES[name]), file)
    with np.load(file.with_suffix(".npz")) as truth:
        return file, truth["boxes"]


def plan_of(file: Path) -> Any:
    """The tiles that ``rsdet predict`` looks at."""
    import rasterio

    from rsdet.scenes import plan

    with rasterio.open(file) as f:
        return plan.Plan([(f.height, f.width)], [1.0], TILE, OVERLAP_PX)


def rates(found: np.ndarray, where: dict[str, np.ndarray]) -> dict[str, list[int]]:
    """Objects found and objects, by place."""
    return {place: [int(found[mask].sum()), int(mask.sum())] for place, mask in where.items()}


def oracle(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Merging alone: every tile reports each object of which it sees 30 %, cut by its edge, moved, scored at random."""
    from rsdet.scenes.merging import merge

    file, truth = scene(name, args)
    plan = plan_of(file)
    where = places(truth, plan, OVERLAP_PX)
    out: dict[str, Any] = {"objects": len(truth), "tiles": len(plan), "methods": {}}
    out["pixels"] = int(np.prod(plan.grids[0].size_hw))
    for jitter in (0.02, 0.08):
        handed_in = reported(truth, plan, jitter)
        for method in ("nms", "nmm", "wbf"):
            began = time.perf_counter()
            merged = merge(handed_in, method, 0.5)
            seconds = time.perf_counter() - began
            hit = matches(truth, merged.boxes_xyxy, merged.scores) >= 0
            out["methods"][f"{method}, sides off by {jitter:.0%}"] = {
                "recall": rates(hit, where), "left_over": len(merged) - int(hit.sum()), "seconds": round(seconds, 2),
            }  # fmt: skip
    return out


def reported(truth: np.ndarray, plan: Any, jitter: float) -> Any:
    """What all tiles hand in; ``jitter`` is how far each side of a box is off, a part of its length (1 sigma)."""
    from shapely import STRtree, box

    from rsdet.runtime.results import Detections
    from rsdet.scenes.found import Found

    rng, tree, areas, parts = (
        np.random.default_rng(0),
        STRtree(box(*truth.T)),
        (truth[:, 2:] - truth[:, :2]).prod(1),
        [],
    )
    for number in range(len(plan)):
        spot = plan[number]
        t = spot.tile
        size = np.array([t.width, t.height])
        near = tree.query(box(t.left, t.top, t.left + t.width, t.top + t.height))
        seen = np.clip(truth[near] - [t.left, t.top, t.left, t.top], 0, np.tile(size, 2))
        sides = seen[:, 2:] - seen[:, :2]
        moved = np.clip(seen + rng.normal(0, jitter, seen.shape) * np.tile(sides, 2), 0, np.tile(size, 2))
        moved = moved[sides.prod(1) >= 0.3 * areas[near]]
        scores, classes = rng.uniform(CONF, 1, len(moved)), np.zeros(len(moved), int)
        parts.append(spot.take(Detections(moved, scores, classes, {0: "vehicle"}, (TILE, TILE), (TILE, TILE))))
    return Found.joined(parts)


def watched(command: Sequence[str], folder: Path) -> dict[str, Any]:
    """Run a process: seconds of the clock and of the processor, peak memory, and the largest ledger in a folder."""
    load, began, ledger = os.getloadavg()[0], time.perf_counter(), 0
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            break
        ledger = max(ledger, sum(p.stat().st_size for p in folder.glob("*.ledger*")))
        time.sleep(0.2)
    wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    said = child.stdout.read() if child.stdout else ""
    if child.returncode:
        sys.exit(f"{command}: {said.strip()[-2000:]}")
    return {
        "wall_s": round(wall, 2), "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mib": round(usage.ru_maxrss / 1024, 1), "ledger_kib": round(ledger / 1024, 1),
        "load_1min": [round(load, 2), round(os.getloadavg()[0], 2)], "said": said.strip().splitlines()[-3:],
    }  # fmt: skip


def predict(file: Path, name: str, args: argparse.Namespace, *more: str) -> dict[str, Any]:
    """``rsdet predict`` on a scene, by its command line."""
    start = "import sys; from rsdet.cli import main; sys.exit(main())"
    words = [f"model={args.model}", f"source={file}", f"tile={TILE}", f"overlap={OVERLAP_PX}", f"conf={CONF}",
             f"project={args.work / 'runs'}", f"name={name}", "exist_ok=True", *more]  # fmt: skip
    done = watched([sys.executable, "-c", start, "predict", *words], args.work / "runs" / name)
    report = json.loads((args.work / "runs" / name / f"{file.stem}.json").read_text())
    width, height = report["size_px"]
    return {**done, "pixels": width * height, **{k: report[k] for k in ("tiles", "tiles_looked_at", "objects")}}


def read_back(folder: Path, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) in pixels and scores (N,) of a GeoPackage, by readers that are not ours."""
    import geopandas
    import rasterio

    table = geopandas.read_file(folder / f"{file.stem}.gpkg")
    with rasterio.open(file) as f:
        if table.crs != f.crs:
            sys.exit(f"{file.stem}.gpkg is in {table.crs}, the scene in {f.crs}")
        inverse = ~f.transform
    left, bottom, right, top = table.bounds.to_numpy().T
    x1, y1 = inverse * (left, top)
    x2, y2 = inverse * (right, bottom)
    return np.stack([x1, y1, x2, y2], 1), table["score"].to_numpy()


def run(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """One scene through the command line, and its recall by place."""
    file, truth = scene(name, args)
    out = predict(file, name, args)
    boxes, scores = read_back(args.work / "runs" / name, file)
    hit = matches(truth, boxes, scores) >= 0
    out |= {"truth": len(truth), "recall": rates(hit, places(truth, plan_of(file), OVERLAP_PX))}
    return {**out, "precision": float(hit.sum() / max(len(boxes), 1))}


def recall(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Objects that the network finds in the middle of a tile: which of them the run over the scene has found.

    For the same number of objects inside a core and across a border, a tile is cut around each one, so that what the
    network never finds, or where it is worse by chance, does not count for one of them only.
    """
    import rasterio
    from rasterio.windows import Window

    from rsdet.runtime import Detector

    file, truth = scene(name, args)
    boxes, scores = read_back(args.work / "runs" / name, file)
    hit, where = matches(truth, boxes, scores) >= 0, places(truth, plan_of(file), OVERLAP_PX)
    model, rng, out = Detector(args.model), np.random.default_rng(0), {}
    with rasterio.open(file) as f:
        for place in ("inside", "across", "cut"):
            some = rng.permutation(np.flatnonzero(where[place]))[:CONTROLS]
            control = np.zeros(len(some), bool)
            for k, i in enumerate(some):
                x, y = ((truth[i, :2] + truth[i, 2:]) / 2 - TILE / 2).round().astype(int)
                x, y = int(np.clip(x, 0, f.width - TILE)), int(np.clip(y, 0, f.height - TILE))
                picture = np.ascontiguousarray(f.read(window=Window(x, y, TILE, TILE)).transpose(1, 2, 0)[..., ::-1])
                seen = model.predict(picture, conf=CONF)
                inside = (truth[:, 0] < x + TILE) & (truth[:, 2] > x) & (truth[:, 1] < y + TILE) & (truth[:, 3] > y)
                mine = np.flatnonzero(inside)
                control[k] = matches(truth[mine] - [x, y, x, y], seen.boxes_xyxy, seen.scores)[mine == i][0] >= 0
            both = hit[some] & control
            out[place] = {
                "looked_at": len(some), "found_in_the_middle": int(control.sum()),
                "of_these_in_the_scene": int(both.sum()),
                "only_in_the_scene": int((hit[some] & ~control).sum()),
            }  # fmt: skip
    return out


def draw(name: str, args: argparse.Namespace) -> None:
    """A window of a scene with what the GeoPackage says: truth green, found orange, borders of the cores white."""
    import cv2
    import rasterio
    from rasterio.windows import Window

    file, truth = scene(name, args)
    boxes, scores = read_back(args.work / "runs" / name, file)
    plan = plan_of(file)
    across = truth[places(truth, plan, OVERLAP_PX)["across"] & (matches(truth, boxes, scores) >= 0)]
    side = np.array([1280, 800])
    centres = (across[:, :2] + across[:, 2:]) / 2
    crowded = max(centres[:500], key=lambda c: int((np.abs(centres - c) < side / 2).all(1).sum()))
    x, y = np.maximum(crowded - side / 2, 0).astype(int).tolist()
    with rasterio.open(file) as f:
        picture = np.ascontiguousarray(f.read(window=Window(x, y, *side)).transpose(1, 2, 0)[..., ::-1])
    columns = len(plan.grids[0].lefts)
    lines = [
        (n, i) for i, numbers in ((0, range(1, columns)), (1, range(columns, len(plan), columns))) for n in numbers
    ]
    for number, axis in lines:
        at = round(plan[number].core[axis]) - (x, y)[axis]
        if 0 <= at < side[axis]:
            cv2.line(picture, *([(at, 0), (at, 9999)] if axis == 0 else [(0, at), (9999, at)]), (255, 255, 255), 1)
    for some, colour in ((truth, (0, 200, 0)), (boxes, (0, 140, 255))):
        for x1, y1, x2, y2 in np.round(some - [x, y, x, y]).astype(int).tolist():
            if x1 < side[0] and y1 < side[1] and x2 > 0 and y2 > 0:
                cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 1)
    cv2.imwrite(str(args.out / "scenes-read-back.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 75])


def bare(args: argparse.Namespace) -> None:
    """Child process: the network alone; prints pixels per second, median of ``--rounds`` calls, and those of a core."""
    from rsdet.runtime.backends import open_network

    network = open_network(args.model)
    batch = network.shape[0] or args.batch
    x = np.random.default_rng(0).random((batch, 3, TILE, TILE), dtype=np.float32)
    network(x)
    times, cpu = [], time.process_time()
    for _ in range(args.rounds):
        began = time.perf_counter()
        network(x)
        times.append(time.perf_counter() - began)
    print(batch * TILE**2 / statistics.median(times), batch * TILE**2 * args.rounds / (time.process_time() - cpu))


def tax(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Rate of a whole run over the rate of the network alone, taking turns."""
    file, _ = scene(name, args)
    alone = [sys.executable, __file__, "bare", "--model", str(args.model), "--rounds", str(args.rounds),
             "--batch", str(args.batch)]  # fmt: skip

    def rate() -> np.ndarray:
        said = subprocess.run(alone, check=True, capture_output=True, text=True).stdout.split()
        return np.array(said[-2:], float)

    rounds, before = [], rate()
    for _ in range(args.turns):
        done = predict(file, f"tax-{name}", args, "quicklook=False", "crops=0")
        after = rate()
        network, network_cpu = ((before + after) / 2).tolist()
        in_tiles = done["tiles_looked_at"] * TILE**2
        row = {"network": network, "tiles": in_tiles / done["wall_s"], "scene": done["pixels"] / done["wall_s"]}
        rounds.append({
            **done, **row, "ratio": row["tiles"] / network, "ratio_scene": row["scene"] / network,
            "ratio_cpu": in_tiles / done["cpu_s"] / network_cpu,
        })  # fmt: skip
        before = after
    middle = ("network", "tiles", "scene", "ratio", "ratio_scene", "ratio_cpu")
    return {**{k: statistics.median(r[k] for r in rounds) for k in middle}, "rounds": rounds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("oracle", "run", "recall", "tax", "draw", "table", "bare"))
    parser.add_argument("--data", type=Path, help="folder of aerial-cars and hit-uav")
    parser.add_argument("--work", type=Path, default=Path("runs/scenes"))
    parser.add_argument("--model", type=Path, help="exported detector")
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--rounds", type=int, default=40, help="calls of the network alone, each time")
    parser.add_argument("--turns", type=int, default=3, help="runs that take turns with the network alone")
    parser.add_argument("--batch", type=int, default=1, help="of the network alone, where the file leaves it free")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    args.work = args.work.absolute()
    if args.step == "bare":
        bare(args)
        return
    if args.step == "draw":
        draw(args.scenes[0], args)
        return
    if args.step == "table":
        from scene_table import write_table

        write_table(args.work, args.out)
        return
    from rsdet.deploy.hardware import describe

    for name in args.scenes:
        file = args.work / f"{args.step}-{name}.json"
        if not file.is_file():
            done = {"oracle": oracle, "run": run, "recall": recall, "tax": tax}[args.step](name, args)
            file.write_text(json.dumps({**done, "hardware": describe()}, indent=1) + "\n")
        print(f"{file.name}: {file.read_text()[:600]}")


if __name__ == "__main__":
    main()
