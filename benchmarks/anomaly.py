"""Anomaly detection on public scenes: SDENet beside methods that learn nothing. Whoever wins.

    python benchmarks/anomaly.py --scenes hsi-anomaly/*.mat demo-cube     # goes on where it was stopped
    python benchmarks/anomaly.py --gather                                 # page and JSON from the rows that are there

A scene is a cube with a map of anomalies, or the name of a shipped set. Each row runs in a process of its own with one
thread: areas, seconds of the processor, growth of the resident memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rows import once, rows_in

METHODS = {
    "rx": "RX", "pca-rx": "RX, 5 principal components", "local-rx": "local RX", "low-rank": "low-rank residual",
    "crd": "CRD",
}  # fmt: skip
NETWORK, UNTRAINED = "SDENet", "SDENet, untrained"
SCORED = ("residual", "recon")
ENOUGH = 0.001  # differences of AUC below this are called level


def classical(scene: str, method: str) -> dict[str, Any]:
    """Score a scene by a method without weights."""
    from rsdet import RSDet
    from rsdet.data.cubes.dataset import cube_data
    from rsdet.deploy.memory import peak_memory
    from rsdet.metrics.anomaly import anomaly_scores
    from rsdet.tasks.anomaly.beside import method_score
    from rsdet.tasks.anomaly.scene import CubeScene

    data, model = cube_data(scene, "anomaly"), RSDet(method).model
    truth = data.map("labels")
    with peak_memory() as memory, CubeScene(data.open(lidar=False).cube, data.bands, data.name) as cube:
        begin, wall = time.process_time(), time.perf_counter()
        score = method_score(model.method, cube)
        cpu, wall = time.process_time() - begin, time.perf_counter() - wall
    return {"areas": {"score": anomaly_scores(score, truth).all}, "cpu_s": cpu, "wall_s": wall, "mib": memory.host_mib,
            "scene": data.name, "size": list(cube.cube.shape)}  # fmt: skip


def network(scene: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Fit SDENet to a scene, and score it by the weights of the highest score and by those it began with."""
    import torch

    from rsdet import RSDet
    from rsdet.data.cubes.dataset import cube_data
    from rsdet.deploy.memory import peak_memory
    from rsdet.metrics.anomaly import anomaly_scores
    from rsdet.tasks.anomaly.scene import CubeScene
    from rsdet.tasks.anomaly.scoring import Rebuilder, network_scores
    from rsdet.tasks.anomaly.train import AnomalyTrain

    class Trainer(AnomalyTrain):
        """Without the last validation, which would time the methods without weights as well."""

        def final_eval(self) -> None:
            pass

    data = cube_data(scene, "anomaly")
    truth = data.map("labels")

    def areas(module: Any) -> dict[str, Any]:
        with CubeScene(data.open(lidar=False).cube, data.bands, data.name) as cube:
            scores = network_scores(Rebuilder(module), cube, SCORED)
        return {what: anomaly_scores(score, truth).all for what, score in scores.items()}

    with CubeScene(data.open(lidar=False).cube, data.bands, data.name) as cube:
        bands, size = cube.bands, list(cube.cube.shape)
    torch.manual_seed(seed)
    before = areas(RSDet("sdenet.yaml", channels=bands).model)
    label = f"{data.name}-seed{seed}"
    settings = dict(fit="scene", epochs=args.epochs, repeats=args.repeats, batch=1, lr0=args.lr, patience=30, seed=seed)
    with peak_memory() as memory:
        begin, wall = time.process_time(), time.perf_counter()
        RSDet("sdenet.yaml").train(
            trainer=Trainer, data=scene, device="cpu", plots=False, project=str(args.work / "runs"), name=label,
            exist_ok=True, **settings,
        )  # fmt: skip
        cpu, wall = time.process_time() - begin, time.perf_counter() - wall
    folder = args.work / "runs" / label
    head, *lines = (folder / "results.csv").read_text().splitlines()
    table = [dict(zip(head.split(","), map(float, line.split(",")), strict=True)) for line in lines]
    kept = {k: [row[k] for row in table] for k in ("train/gms_loss", "metrics/highest", "metrics/auc_df")}
    return {
        "areas": areas(RSDet(folder / "weights" / "best.pt").model.float()), "untrained": before, "cpu_s": cpu,
        "wall_s": wall, "mib": memory.host_mib, "epochs": kept, "training": settings, "scene": data.name, "size": size,
    }  # fmt: skip


def apart(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a function gives in a process of its own, which has all that was imported here."""
    ours, theirs = multiprocessing.Pipe(duplex=False)

    def send() -> None:
        theirs.send_bytes(json.dumps(work()).encode())

    process = multiprocessing.get_context("fork").Process(target=send)
    process.start()
    theirs.close()
    try:
        return json.loads(ours.recv_bytes())
    except EOFError:
        raise SystemExit("a run has failed, see above") from None
    finally:
        process.join()


def mean(values: list[float], digits: int = 4) -> str:
    """Mean, and of several their standard deviation."""
    text = f"{statistics.mean(values):.{digits}f}"
    return text if len(values) < 2 else f"{text} ± {statistics.stdev(values):.{digits}f}"


def entries(rows: list[dict[str, Any]]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Method to scene to what was measured, seed by seed."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        kinds = [("areas", METHODS.get(row["method"], NETWORK))]
        kinds += [("untrained", UNTRAINED)] if "untrained" in row else []
        for key, name in kinds:
            for what, areas in row[key].items():
                label = name if what == "score" else f"{name}, {what}"
                cost = {k: row[k] for k in ("cpu_s", "mib")} if key == "areas" else {"cpu_s": None, "mib": None}
                found.setdefault(label, {}).setdefault(row["scene"], []).append({**areas, **cost})
    order = [*METHODS.values(), *(f"{n}, {s}" for n in (NETWORK, UNTRAINED) for s in SCORED)]
    return {name: found[name] for name in order if name in found}


def fit_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """How long a network was fitted."""
    return tuple(row["training"][k] for k in ("epochs", "repeats", "lr0"))


def page(rows: list[dict[str, Any]]) -> list[str]:
    """The tables and what they say; of fits of several lengths, those of which there are most are compared."""
    fits = [fit_of(r) for r in rows if "training" in r]
    usual = max(fits, key=fits.count, default=())
    whole, rows = rows, [r for r in rows if "training" not in r or fit_of(r) == usual]
    found = entries(rows)
    scenes = list(dict.fromkeys(r["scene"] for r in rows))
    sizes = {r["scene"]: "x".join(map(str, r["size"])) for r in rows}
    fitted = [r for r in rows if "untrained" in r]
    lines = [
        "# Anomalies in hyperspectral cubes: SDENet and methods that learn nothing", "",
        f"`benchmarks/anomaly.py` on {platform.processor() or 'x86-64'}, one thread, a process a row, on a "
        "machine that did other work: seconds are those of the processor. All bands.",
    ]  # fmt: skip
    if fitted:
        t = fitted[0]["training"]
        lines += [
            f"SDENet is fitted to each scene without its map (Algorithm 1, `fit=scene`): {t['epochs']} epochs of "
            f"{t['repeats']} crops of 64 px, Adam at {t['lr0']:g}; its weights are those of the epoch with the highest "
            "score of a pixel. `residual`: Mahalanobis distance of cube minus background; `recon`: of the background. "
            "`untrained`: the same network as it is initialised.", "",
            "Seeds: " + ", ".join(f"{scene} {len([r for r in fitted if r['scene'] == scene])}" for scene in scenes)
            + ". With several, mean ± standard deviation.",
        ]  # fmt: skip
    for key, told in (("AUC(D,F)", "AUC(D,F), the usual one"), ("AUC(F,t)", "AUC(F,t), the lower the better"),
                      ("AUC(D,t)", "AUC(D,t)"), ("OD", "OD = AUC(D,F) + AUC(D,t) - AUC(F,t)")):  # fmt: skip
        lines += ["", f"## {told}", "", f"| method | {' | '.join(f'{s} ({sizes[s]})' for s in scenes)} | mean |",
                  f"|{' --- |' * (len(scenes) + 2)}"]  # fmt: skip
        for name, by_scene in found.items():
            cells = [mean([r[key] for r in by_scene[s]]) if s in by_scene else "-" for s in scenes]
            means = [statistics.mean(r[key] for r in by_scene[s]) for s in scenes if s in by_scene]
            every = f"{statistics.mean(means):.4f}" if len(means) == len(scenes) else "-"
            lines.append(f"| {name} | {' | '.join(cells)} | {every} |")
    lines += [
        "",
        "## Cost",
        "",
        "| method | seconds of the processor, a scene | peak memory, MiB |",
        "| --- | --- | --- |",
    ]
    for name, by_scene in found.items():
        every_row = [r for s in by_scene.values() for r in s if r["cpu_s"] is not None]
        if every_row and not name.endswith(SCORED[1]):
            cpu, mib = ([r[k] for r in every_row if r[k] is not None] for k in ("cpu_s", "mib"))
            told = f"{name.removesuffix(', residual')}{' (fit and score)' if name.startswith(NETWORK) else ''}"
            lines.append(f"| {told} | {min(cpu):.2f} to {max(cpu):.2f} | {min(mib):.0f} to {max(mib):.0f} |")
    lines += ["", "## Who wins", ""]
    for scene in scenes:
        here = {n: by[scene] for n, by in found.items() if scene in by}
        best = sorted(((statistics.mean(r["AUC(D,F)"] for r in every), n) for n, every in here.items()), reverse=True)
        level = [n for auc, n in best if auc > best[0][0] - ENOUGH]
        lines.append(f"- {scene}: **{', '.join(level)}** ({best[0][0]:.4f}).")
    means = {n: statistics.mean(statistics.mean(r["AUC(D,F)"] for r in every) for every in by.values())
             for n, by in found.items() if len(by) == len(scenes)}  # fmt: skip
    lines += ["", "Mean over the scenes, the highest first: "
              + ", ".join(f"{n} {v:.4f}" for n, v in sorted(means.items(), key=lambda x: -x[1])) + "."]  # fmt: skip
    if fitted:
        head = (
            "scene",
            "seed",
            "steps",
            "loss, first and last epoch",
            "highest score",
            "best epoch",
            "AUC(D,F), likewise",
        )
        lines += ["", "## Does the fit converge?", "", f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
        for r in sorted((r for r in whole if "training" in r), key=lambda r: (r["scene"], fit_of(r), r["seed"])):
            loss, top, auc = (r["epochs"][k] for k in ("train/gms_loss", "metrics/highest", "metrics/auc_df"))
            cells = [r["scene"], r["seed"], len(loss) * r["training"]["repeats"], f"{loss[0]:.2g}, {loss[-1]:.2g}"]
            cells += [f"{top[0]:.0f} to {max(top):.0f}", f"{1 + top.index(max(top))} of {len(top)}"]
            lines.append(f"| {' | '.join(map(str, cells))} | {auc[0]:.4f}, {auc[-1]:.4f} |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", nargs="+", default=[], help="cubes with maps, or names of shipped sets")
    parser.add_argument("--gather", action="store_true", help="make the page from the rows that are there")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=8, help="crops of an epoch")
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--work", type=Path, default=Path("runs/anomaly"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    args.work = args.work.absolute()
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before anything is imported
    import torch

    import rsdet.tasks.anomaly.train  # noqa: F401  once, for all processes

    torch.set_num_threads(1)
    tasks = [(s, m, 0) for s in args.scenes for m in METHODS]
    tasks += [(s, "sdenet", seed) for seed in args.seeds for s in args.scenes]
    keys = ("epochs", "repeats", "lr")
    for scene, method, seed in [] if args.gather else tasks:

        def run(scene: str = scene, method: str = method, seed: int = seed) -> dict[str, Any]:
            made = apart(
                partial(network, scene, seed, args) if method == "sdenet" else partial(classical, scene, method)
            )
            return {"method": method, "seed": seed, **made}

        learnt = {k: getattr(args, k) for k in keys} if method == "sdenet" else {}
        once(
            args.work / "rows" / f"{Path(scene).stem}-{method}-{seed}.json", {"scene": Path(scene).stem, **learnt}, run
        )
    rows = rows_in(args.work / "rows")
    if rows:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "anomaly.json").write_text(json.dumps(rows, indent=1) + "\n")
        (args.out / "anomaly.md").write_text("\n".join(page(rows)))


if __name__ == "__main__":
    main()
