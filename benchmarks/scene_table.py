"""What ``scenes.py`` and ``scenes_sahi.py`` have measured: Markdown, CSV and a plot."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PLACES = {"inside": "wholly in one core", "cut": "cut by an edge of a tile", "across": "across a border of two cores",
          "larger": "larger than the overlap"}  # fmt: skip

HEAD = """# Whole scenes

Mosaics of real pictures of vehicles from drones (aerial-cars-dataset and a sample of HIT-UAV, one class, turned and
mirrored at random; `scene_mosaic.py`), JPEG in a tiled BigTIFF, EPSG:32635, 0.1 m a pixel. `rsdet predict tile=640
overlap=128 conf=0.25` with a YOLO11n of about an hour's training (`scene_weights.py`) as an OpenVINO file, unless a
table says otherwise. Most of the pictures in the mosaics are those it has learnt from: they show what tiling costs, not
how well vehicles are found elsewhere. 2 cores of an AMD EPYC server CPU, no GPU; other work ran on the machine where
its load is above 2, and seconds of the clock say little then: what took turns was slowed by up to a third at random.
The ledger is measured with its write-ahead log, which takes up to 4 MiB. Written by `scenes.py table`; all numbers are
in `scenes.csv`. Beside SAHI on PyTorch rsdet took four tiles at a time, its default then; it is one on a CPU now."""


def write_table(work: Path, out: Path) -> None:
    """Write ``scenes.md``, ``scenes.csv`` and ``scenes.png`` from the JSON files of a work folder."""
    records = {p.stem: json.loads(p.read_text()) for p in sorted(work.glob("*.json"))}

    def of(step: str) -> dict[str, Any]:
        named = {k.removeprefix(f"{step}-"): v for k, v in records.items() if k.startswith(f"{step}-")}
        return dict(sorted(named.items(), key=lambda kv: kv[1].get("pixels", 0)))

    parts = [runs(of("run")), recall(of("run"), of("recall"), of("oracle")), tax(of("tax")), *sahi(of("sahi-time")),
             memory(of("sahi-memory")), four(records.get("four", {}))]  # fmt: skip
    wanted = goals(of("run"), of("recall"), of("tax"), of("sahi-time"))
    text = "\n\n".join(p for p in (HEAD, wanted, *parts) if p)
    (out / "scenes.md").write_text(text + "\n")
    with open(out / "scenes.csv", "w", newline="") as f:
        csv.writer(f, lineterminator="\n").writerows([["step", "scene", "quantity", "value"], *flat(records)])
    if of("run"):
        plot(of("run"), out / "scenes.png")
    print(text)


def flat(records: dict[str, Any]) -> Iterator[list[Any]]:
    """A row for each number of the records, without samples and hardware."""

    def walk(value: Any, path: list[str]) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict):
            for k, v in value.items():
                if k not in ("samples", "rounds", "hardware", "said"):
                    yield from walk(v, [*path, k])
        elif isinstance(value, (int, float)):
            yield ".".join(path), value
        elif isinstance(value, list) and all(isinstance(v, (int, float)) for v in value):
            yield ".".join(path), " ".join(map(str, value))

    for stem, record in records.items():
        step, _, scene = stem.partition("-")
        yield from ([step, scene, quantity, value] for quantity, value in walk(record, []))


def section(title: str, head: list[str], rows: list[list[Any]]) -> str:
    """A table in Markdown under its title; nothing without rows."""
    lines = [head, ["---"] * len(head), *rows]
    return f"### {title}\n\n" + "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) if rows else ""


def share(found: int, objects: int) -> str:
    return f"{100 * found / objects:.2f} % of {objects}" if objects else "-"


def goals(run: dict[str, Any], control: dict[str, Any], tax: dict[str, Any], sahi: dict[str, Any]) -> str:
    """What was to be reached, and what was."""
    rows: list[tuple[str, str, bool]] = []
    for name, r in control.items():
        across, inside = (r[p]["of_these_in_the_scene"] / r[p]["found_in_the_middle"] for p in ("across", "inside"))
        what = f"{name}: recall across borders at least 99.5 % of that inside, of what the network finds in mid-tile"
        rows.append((what, f"{100 * across / inside:.2f} %", across / inside >= 0.995))
    if run:
        peak = max(r["peak_mib"] for r in run.values())
        rows.append(("peak memory below 2 GB at any size", f"{peak:.0f} MiB", peak < 2e9 / 2**20))
    for name, r in tax.items():
        for what, key in (
            ("", "ratio"),
            (", per second of the cores", "ratio_cpu"),
            (", overlap counted", "ratio_scene"),
        ):
            rows.append(
                (f"{name}: pixels / those of the network alone at least 0.9{what}", f"{r[key]:.3f}", r[key] >= 0.9)
            )
    for r in sahi.values():
        ours, best = r["rows"]["rsdet"], min((v["wall_s"], n) for n, v in r["rows"].items() if n.startswith("SAHI"))[1]
        other, where = r["rows"][best], f"{r['backend']}, {r['scene']}, beside {best}"
        times, need = other["to_rsdet"], 3 if "nodata" in r["scene"] else 1
        rows.append((f"{where}: at least {need} x its pixels per second", f"{times:.2f} x", times >= need))
        times = other["cpu_ms"] / ours["cpu_ms"]
        rows.append((f"{where}: the same per second of the cores", f"{times:.2f} x", times >= need))
        ratio = ours["overhead_ms"] / other["overhead_ms"]
        rows.append((f"{where}: at most a third of its overhead a tile", f"{ratio:.2f}", ratio <= 1 / 3))
        rows.append((f"{where}: AP at least its", f"{ours['ap']:.3f}, {other['ap']:.3f}", ours["ap"] >= other["ap"]))
    return section("Goals", ["goal", "measured", "reached"], [[a, b, "yes" if c else "**no**"] for a, b, c in rows])


def runs(records: dict[str, Any]) -> str:
    """Size, time and memory of whole runs."""
    rows = [
        [n, f"{r['pixels']:.2e}", f"{r['tiles_looked_at']} of {r['tiles']}", f"{r['wall_s']:.0f}",
         f"{r['pixels'] / r['wall_s'] / 1e6:.2f}", f"{r['peak_mib']:.0f}", f"{r['ledger_kib']:.0f}", r["objects"],
         " to ".join(f"{v:.1f}" for v in r["load_1min"])]
        for n, r in records.items()
    ]  # fmt: skip
    return section(
        "Whole runs of `rsdet predict`",
        [
            "scene",
            "pixels",
            "tiles looked at",
            "s",
            "Mpx/s",
            "peak memory (MiB)",
            "largest ledger (KiB)",
            "objects",
            "load of the machine",
        ],
        rows,
    )


def recall(run: dict[str, Any], control: dict[str, Any], oracle: dict[str, Any]) -> str:
    """Recall by place in the grid, and that across borders over that inside."""
    rows = []
    for name, r in oracle.items():
        for method, m in r["methods"].items():
            if method.startswith("nms"):  # the others are in the CSV
                rows.append([name, f"truth in place of a network, {method}", *by_place(m["recall"])])
    for name, r in run.items():
        rows.append([name, "detector", *by_place(r["recall"])])
    for name, r in control.items():
        pairs = {p: [v["of_these_in_the_scene"], v["found_in_the_middle"]] for p, v in r.items() if p in PLACES}
        rows.append([name, "detector, of those found in the middle of a tile", *by_place(pairs)])
    head = ["scene", "who", *(f"recall {p}" for p in PLACES.values()), "across / inside"]
    return section("Recall at IoU 0.5 by place in the grid", head, rows)


def by_place(pairs: dict[str, list[int]]) -> list[str]:
    cells = [share(*pairs.get(p, (0, 0))) for p in PLACES]
    (a, n), (b, m) = pairs["across"], pairs["inside"]
    return [*cells, f"{100 * a / n / (b / m):.2f} %" if n and b else "-"]


def tax(records: dict[str, Any]) -> str:
    """Rate of a run over that of the network alone."""
    rows = [
        [n, f"{r['network'] / 1e6:.2f}", f"{r['tiles'] / 1e6:.2f}", f"{r['scene'] / 1e6:.2f}", f"{r['ratio']:.3f}",
         ", ".join(f"{x['ratio']:.3f}" for x in r["rounds"]), f"{r['ratio_scene']:.3f}"]
        for n, r in records.items()
    ]  # fmt: skip
    return section(
        "The tiling tax",
        [
            "scene",
            "network alone (Mpx/s)",
            "pixels in tiles (Mpx/s)",
            "pixels of the scene (Mpx/s)",
            "tiles / network, median",
            "each turn",
            "the same in seconds of the cores",
            "scene / network",
        ],
        rows,
    )


def sahi(records: dict[str, Any]) -> Iterator[str]:
    """Side by side, one table for each backend and scene."""
    for r in records.values():
        rows = [
            [n, f"{v['wall_s']:.1f}", f"{v['mpx_s']:.2f}", f"{v['to_rsdet']:.2f}", f"{v['overhead_ms']:.1f}",
             f"{v['cpu_ms']:.0f}",
             v["objects"], f"{v['ap']:.3f}", f"{v['ap50']:.3f}"]
            for n, v in r["rows"].items()
        ]  # fmt: skip
        yield section(
            f"Side by side: {r['backend']}, {r['scene']}, {r['tiles']} tiles, {r['pixels']:.2e} px",
            [
                "who",
                "s",
                "Mpx/s",
                "time / rsdet's",
                "overhead (ms a tile)",
                "all threads (ms a tile)",
                "objects",
                "AP",
                "AP50",
            ],
            rows,
        )


def memory(records: dict[str, Any]) -> str:
    """Peak memory of each, by scene."""
    rows = [[r["scene"], n, f"{v:.0f}"] for r in records.values() for n, v in r.items() if ": " in n]
    return section("Peak memory of the whole process", ["scene", "who", "MiB"], rows)


def four(record: dict[str, Any]) -> str:
    """Trained on whole pictures or on tiles, tested on both."""
    rows = [[n, *(f"{v:.3f}" for v in r.values())] for n, r in record.get("rows", {}).items()]
    return section("Whole pictures or tiles", ["learnt on", *record.get("columns", [])], rows)


def plot(records: dict[str, Any], file: Path) -> None:
    """Memory and ledger against the size of the scene."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    pixels = [r["pixels"] for r in records.values()]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    left.semilogx(pixels, [r["peak_mib"] for r in records.values()], "o-")
    left.axhline(2e9 / 2**20, color="grey", ls="--", lw=1)
    left.set(xlabel="pixels of the scene", ylabel="peak memory of the process (MiB)", ylim=(0, None))
    looked_at = [r["tiles_looked_at"] for r in records.values()]
    right.plot(looked_at, [r["ledger_kib"] for r in records.values()], "o")
    right.set(xlabel="tiles that were looked at", ylabel="largest ledger (KiB)", xlim=(0, None), ylim=(0, 7000))
    for r in records.values():
        place = (r["tiles_looked_at"], r["ledger_kib"])
        right.annotate(f"{r['pixels']:.0e} px", place, (0, 6), textcoords="offset points", fontsize=7, ha="center")
    figure.savefig(file, dpi=110)
