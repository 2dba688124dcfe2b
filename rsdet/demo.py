"""``rsdet demo``: everything the toolkit does, in a few minutes on two CPU cores, from no data and no network.

Scenes are rendered, the small shipped checkpoint is fine-tuned on them, validated, run on scenes it has not seen,
exported with a parity check, and timed. Nothing here says anything about accuracy on real images.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rsdet.errors import DataError
from rsdet.quiet import hushed
from rsdet.writing import alone
from rsdet.zoo import weights

WEIGHTS = "vmc-detr-demo"
SIZE = 320
CONF = 0.4


def _say(step: int, text: str) -> None:
    print(f"\n[{step}/6] {text}", flush=True)


def run_demo(out: str | Path = "runs/demo", epochs: int = 2, seed: int = 0) -> dict[str, Any]:
    """Run the demo and print one table and where the pictures lie.

    Args:
        out: Folder for everything that is made; what an earlier demo left there is used again or replaced.
        epochs: Epochs of fine-tuning, 1 or more.
        seed: Number of the rendered data set.

    Returns:
        The rows of the table.

    Raises:
        DataError: The folder cannot be used.
    """
    if epochs < 1:
        raise DataError(f"epochs must be 1 or more, received {epochs}; leave it out for 2.")
    start = weights(WEIGHTS)
    out = Path(out).resolve()
    with alone(out, "demo"):
        return _run(start, out, epochs, seed)


def _run(start: Path, out: Path, epochs: int, seed: int) -> dict[str, Any]:
    begin = time.perf_counter()
    _say(1, "rendering aerial scenes (cars, trucks, boats and planes, seeded)")
    from rsdet.data.demo import make_demo

    data = make_demo(out / "scenes", n_train=200, n_val=80, size=SIZE, seed=seed)

    _say(2, f"fine-tuning a small VMC-DETR for {epochs} epochs")
    print(
        "A detection transformer does not learn from nothing in minutes on a CPU. This one starts from the shipped\n"
        "checkpoint, which benchmarks/train_demo_weights.py trained on other rendered scenes, and goes on from there."
    )
    from rsdet import RSDet

    model = RSDet(start)
    with hushed():
        model.train(
            data=data, epochs=epochs, imgsz=SIZE, batch=8, nbs=8, recipe="none", optimizer="AdamW", lr0=1e-4, lrf=0.1,
            warmup_epochs=0.2, warmup_bias_lr=0.0, mosaic=0.0, scale=0.2, erasing=0.0, flipud=0.5, plots=False,
            project=str(out), name="train", exist_ok=True, seed=seed, verbose=False,
        )  # fmt: skip

    _say(3, "validating on scenes that were not trained on")
    metrics = model.val(
        data=data, imgsz=SIZE, protocol="coco", plots=False, project=str(out), name="val", exist_ok=True
    )

    _say(4, "detecting, and drawing what was found")
    pictures = _busiest(data.parent, 8)
    results = model.predict(
        [str(p) for p in pictures], imgsz=SIZE, conf=CONF, save=True, save_coco=True, project=str(out),
        name="predict", exist_ok=True, verbose=False,
    )  # fmt: skip

    _say(5, "exporting to ONNX, and checking that it finds the same boxes")
    exported = model.export(format="onnx", imgsz=SIZE, images=[str(p) for p in pictures], out=out, verbose=False)
    print(exported.summary())

    _say(6, "timing the network and the way from file to boxes")
    timed = model.benchmark(
        formats=("pytorch", "onnx"), imgsz=SIZE, images=[str(p) for p in pictures], out=out / "speed", rounds=10,
        min_s=1.0, warmup_s=0.3, memory=False, verbose=False,
    )  # fmt: skip

    info = model.info(verbose=False, imgsz=SIZE)
    rows = _rows(metrics, info, timed, exported, sum(len(r) for r in results), len(results))
    _print(rows)
    print(f"\npictures with boxes: {out / 'predict'}")
    print(f"weights:             {out / 'train' / 'weights' / 'best.pt'}")
    print(f"everything else:     {out}")
    print(f"done in {(time.perf_counter() - begin) / 60:.1f} minutes. Rendered scenes: for showing and testing only.")
    return dict(rows)


def _busiest(root: Path, n: int) -> list[Path]:
    """The validation scenes with a middling number of objects: enough to see, not too many to look at."""
    labels = sorted((root / "labels" / "val").glob("*.txt"))
    counted = [(len(p.read_text().splitlines()), p.stem) for p in labels]
    good = [stem for count, stem in counted if 6 <= count <= 40][:n]
    return [root / "images" / "val" / f"{stem}.jpg" for stem in good]


def _rows(
    metrics: Any, info: dict[str, Any], timed: Any, exported: Any, found: int, images: int
) -> list[tuple[str, str]]:
    ours = metrics.protocol_metrics
    rows = [
        ("model", f"vmc-detr-demo, {info['params'] / 1e6:.2f} M parameters"),
        (f"GFLOPs at {SIZE}", f"{info['gflops_legacy']:.2f} legacy, {info['gflops_true']:.2f} true"),
        ("AP50 / AP50:95, protocol coco", f"{ours.ap50:.3f} / {ours.ap:.3f} on 80 rendered scenes"),
        (f"objects found above {CONF}", f"{found} in {images} pictures"),
        ("ONNX against PyTorch", exported.parity.summary()),
    ]
    for row in timed.rows:
        rows.append(
            (
                f"{row.format} on this machine",
                f"network {row.network.median_ms:.1f} ms median, {row.network.p95:.1f} p95; "
                f"file to boxes {row.end_to_end.median_ms:.1f} ms",
            )
        )
    return rows


def _print(rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="rsdet demo", show_header=False)
    for name, value in rows:
        table.add_row(name, value)
    Console().print()
    Console().print(table)
