"""``rsdet demo``: everything the toolkit does, in a few minutes on two CPU cores, from no data and no network.

Scenes are rendered, the small shipped checkpoint is fine-tuned on them, validated, run on scenes it has not seen,
exported with a parity check, and timed. Nothing here says anything about accuracy on real images. ``real=True`` fetches
a few real pictures instead of training, and takes rendered haze off them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.images import SUFFIXES
from rsdet.data.rendered import write_data_yaml
from rsdet.deploy.report_html import write_html
from rsdet.errors import ConfigError, DataError
from rsdet.quiet import hushed
from rsdet.writing import alone, write_picture, write_text
from rsdet.zoo import card_of, weights

WEIGHTS, REAL_WEIGHTS = "vmc-detr-demo", "vmc-detr-hituav"
REAL_DATA = "hit-uav-sample"
CREDIT = "HIT-UAV, Suo et al. 2023, CC BY 4.0"
SIZE = 320
CONF = 0.4
HAZE = {"name": "haze", "density": "dense"}


def _say(step: int, text: str) -> None:
    print(f"\n[{step}/6] {text}", flush=True)


def run_demo(
    out: str | Path = "runs/demo", epochs: int | None = None, seed: int = 0, real: bool = False
) -> dict[str, Any]:
    """Run the demo and print one table and where the pictures lie.

    Args:
        out: Folder for everything that is made; what an earlier demo left there is used again or replaced.
        epochs: Epochs of fine-tuning, 1 or more; 2 where it is left out.
        seed: Number of the rendered data set, or of the rendered haze.
        real: Fetch 60 thermal pictures of HIT-UAV (4 MB) and look at them with shipped weights, without a training.

    Returns:
        The rows of the table.

    Raises:
        DataError: The folder cannot be used, or the pictures cannot be fetched.
        ConfigError: ``epochs`` with ``real``, which trains nothing.
    """
    if epochs is not None and epochs < 1:
        raise DataError(f"epochs must be 1 or more, received {epochs}; leave it out for 2.")
    if real and epochs is not None:
        raise ConfigError("real=True trains nothing; leave epochs= out.")
    out = Path(out).resolve()
    with alone(out, "demo"):
        return _real(out, seed) if real else _rendered(out, epochs or 2, seed)


def _rendered(out: Path, epochs: int, seed: int) -> dict[str, Any]:
    begin, start = time.perf_counter(), weights(WEIGHTS)
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
    metrics = _validate(model, data, "val", out, "val")
    pictures = _busiest(data.parent / "labels" / "val", 8)
    rows, _ = _looked_at(model, WEIGHTS, metrics, "80 rendered scenes", pictures, out)
    print(f"\npictures with boxes: {out / 'predict'}")
    print(f"weights:             {out / 'train' / 'weights' / 'best.pt'}")
    _end(out, begin, "Rendered scenes: for showing and testing only. On real pictures: rsdet demo real=True")
    return rows


def _real(out: Path, seed: int) -> dict[str, Any]:
    begin, start = time.perf_counter(), weights(REAL_WEIGHTS)
    from rsdet import RSDet
    from rsdet.data.download import check_dataset, find_yaml, load_yaml

    facts = load_yaml(find_yaml(REAL_DATA))
    _say(1, f"fetching {facts['splits']['test']['images']} thermal pictures of drones, {facts['licence']}")
    print(facts["citation"])
    data = Path(check_dataset(REAL_DATA)["yaml_file"])
    model, pictures = RSDet(start), _busiest(data.parent / "labels" / "test", 8)

    _say(2, f"validating {REAL_WEIGHTS} on them: {card_of(REAL_WEIGHTS).facts['about']}")
    metrics = _validate(model, data, "test", out, "val")

    _say(3, "rendering dense haze over them, and taking it off with the dark channel prior, which needs no weights")
    hazed = _hazed(data, out / "hazed", seed)
    both = _validate(model, hazed, "test", out, "val-hazed", enhance="dcp")
    before, after = (m.protocol_metrics.ap50 for m in (both.without, both))
    in_haze = [str(hazed.parent / "images" / "test" / f"{p.stem}.png") for p in pictures[:2]]
    for name, enhance in (("predict-hazed", {}), ("predict-dehazed", {"enhance": "dcp"})):
        model.predict(
            in_haze, imgsz=SIZE, conf=CONF, save=True, project=str(out), name=name, exist_ok=True, verbose=False,
            **enhance,
        )  # fmt: skip

    measured = f"{metrics.protocol_metrics.n_images} real pictures"
    haze = {"AP50 in haze, and after dehazing": f"{before:.3f}, {after:.3f}; haze is rendered"}
    rows, timed = _looked_at(model, REAL_WEIGHTS, metrics, measured, pictures, out, haze)
    seen = {
        "found": "predict",
        "found in haze": "predict-hazed",
        "found after dehazing, on the hazed picture": "predict-dehazed",
    }
    shown = {  # by name: an earlier demo may have left pictures of its own there
        f"{what}, {n} ({CREDIT})": out / folder / f"{picture.stem}.jpg"
        for what, folder in seen.items()
        for n, picture in enumerate(pictures[:2], 1)
    }
    page = write_html(timed, out / "demo.html", title="rsdet demo on real pictures", pictures=shown)
    print(f"\none page:            {page}")
    print(f"pictures with boxes: {out / 'predict'}")
    _end(out, begin, "Sixty pictures: a first look, no number to be compared with others'.")
    return rows


def _validate(model: Any, data: Path, split: str, out: Path, name: str, **more: Any) -> Any:
    return model.val(
        data=data, split=split, imgsz=SIZE, protocol="coco", plots=False, project=str(out), name=name, exist_ok=True,
        **more,
    )  # fmt: skip


def _hazed(data: Path, out: Path, seed: int) -> Path:
    """Write the pictures of a test split with haze over them, beside the same labels; returns the data YAML."""
    import cv2

    from rsdet.data.degrade import build_degradation
    from rsdet.textfiles import read_yaml

    haze, rng, source = build_degradation(HAZE), np.random.default_rng(seed), data.parent
    for name in ("images", "labels"):
        (out / name / "test").mkdir(parents=True, exist_ok=True)
    for picture in _pictures(source / "images" / "test").values():
        clear = cv2.imread(str(picture)).astype(np.float32) / 255
        write_picture(out / "images" / "test" / f"{picture.stem}.png", np.rint(haze(clear, rng) * 255).astype(np.uint8))
        label = source / "labels" / "test" / f"{picture.stem}.txt"
        write_text(out / "labels" / "test" / label.name, label.read_text())
    content = {**read_yaml(data), "path": str(out)}
    return write_data_yaml(out / "hazed.yaml", content, f"# {REAL_DATA} with rendered haze, made by rsdet demo.\n")


def _looked_at(
    model: Any, name: str, metrics: Any, measured: str, pictures: list[Path], out: Path,
    more: dict[str, str] | None = None,
) -> tuple[dict[str, Any], Any]:  # fmt: skip
    """Detect, export and time; print the table, whose rows come back with the times."""
    shown = [str(p) for p in pictures]
    _say(4, "detecting, and drawing what was found")
    results = model.predict(
        shown, imgsz=SIZE, conf=CONF, save=True, save_coco=True, project=str(out), name="predict", exist_ok=True,
        verbose=False,
    )  # fmt: skip

    _say(5, "exporting to ONNX, and checking that it finds the same boxes")
    exported = model.export(format="onnx", imgsz=SIZE, images=shown, out=out, verbose=False)
    print(exported.summary())

    _say(6, "timing the network and the way from file to boxes")
    timed = model.benchmark(
        formats=("pytorch", "onnx"), imgsz=SIZE, images=shown, out=out / "speed", rounds=10, min_s=1.0, warmup_s=0.3,
        memory=False, verbose=False,
    )  # fmt: skip
    info, ours = model.info(verbose=False, imgsz=SIZE), metrics.protocol_metrics
    rows = {
        "model": f"{name}, {info['params'] / 1e6:.2f} M parameters",
        f"GFLOPs at {SIZE}": f"{info['gflops_legacy']:.2f} legacy, {info['gflops_true']:.2f} true",
        "AP50 / AP50:95, protocol coco": f"{ours.ap50:.3f} / {ours.ap:.3f} on {measured}",
        **(more or {}),
        f"objects found above {CONF}": f"{sum(len(r) for r in results)} in {len(results)} pictures",
        "ONNX against PyTorch": exported.parity.summary(),
    }
    for row in timed.rows:
        rows[f"{row.format} on this machine"] = (
            f"network {row.network.median_ms:.1f} ms median, {row.network.p95:.1f} p95; "
            f"file to boxes {row.end_to_end.median_ms:.1f} ms"
        )
    _print(rows)
    return rows, timed


def _end(out: Path, begin: float, last: str) -> None:
    print(f"everything else:     {out}")
    print(f"done in {(time.perf_counter() - begin) / 60:.1f} minutes. {last}")


def _busiest(labels: Path, n: int) -> list[Path]:
    """Pictures with a middling number of objects: enough to see, not too many to look at."""
    counted = [(len(p.read_text().splitlines()), p.stem) for p in sorted(labels.glob("*.txt"))]
    good = [stem for count, stem in counted if 6 <= count <= 40][:n]
    images = _pictures(labels.parents[1] / "images" / labels.name)
    return [images[stem] for stem in good if stem in images]


def _pictures(folder: Path) -> dict[str, Path]:
    """Pictures of a folder by name, without what a run before has left beside them (``cache=disk``)."""
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES}


def _print(rows: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="rsdet demo", show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print()
    Console().print(table)
