"""Side by side on one scene, taking turns in one process: rsdet, SAHI and supervision's InferenceSlicer.

Same weights, tile, overlap and threshold, from the file to the objects. The others get what makes them fastest: SAHI no
prediction on the whole picture besides, and each of ``--batches``, of which the best counts; InferenceSlicer the same,
and the file by windows. rsdet also writes its GeoPackage. The overhead is the time that is not the network's, a tile.

    python benchmarks/scenes_sahi.py time --scene mosaic-3e7.tif --weights best.pt --exported best_openvino_model
    python benchmarks/scenes_sahi.py time --scene nodata-1e8.tif ... --backends openvino
    python benchmarks/scenes_sahi.py memory --scene mosaic-1e8.tif ...     # each in a process of its own

The scene is one of ``scene_mosaic.py``, with its truth beside it. ``--exported`` was made by ``rsdet export``; the
others use Ultralytics' own export of the same weights, made where it is missing. On OpenVINO these calculate in BF16
where the processor can, which rsdet never does; with ``--fp32`` they do not either.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scene_matching import accuracy

TILE, OVERLAP_PX = 640, 128
OTHERS = ("SAHI", "InferenceSlicer")
Objects = tuple[np.ndarray, np.ndarray]  # boxes (N, 4) xyxy in pixels of the scene, scores (N,)


class Clock:
    """Seconds inside the network, whoever calls it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, owner: Any, name: str) -> None:
        """Count the calls of a method."""
        plain = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return plain(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - began

        setattr(owner, name, timed)


def theirs(backend: str, args: argparse.Namespace) -> str:
    """What Ultralytics loads: a checkpoint of its own class with the same weights, or its export of that."""
    plain = args.weights.with_name(f"{args.weights.stem}-plain.pt")
    if not plain.is_file():
        import torch
        from ultralytics.nn.tasks import DetectionModel

        from rsdet import RSDet

        ours = RSDet(args.weights).model.float()
        model = DetectionModel(ours.yaml, verbose=False)
        model.load_state_dict(ours.state_dict())
        model.names = ours.names
        torch.save({"model": model, "train_args": {"task": "detect", "imgsz": TILE}}, plain)
    folder = plain.with_name(f"{plain.stem}_openvino_model")
    if backend == "openvino" and not folder.is_dir():
        from ultralytics import YOLO

        YOLO(plain).export(format="openvino", imgsz=TILE, dynamic=True)
    return str(plain if backend == "torch" else folder)


def keep_fp32() -> None:
    """Let OpenVINO calculate in FP32, whoever asks."""
    import openvino

    plain = openvino.Core.compile_model

    def exact(core: Any, model: Any, device_name: Any = None, config: Any = None) -> Any:
        return plain(core, model, device_name, {**(config or {}), "INFERENCE_PRECISION_HINT": "f32"})

    openvino.Core.compile_model = exact


def rsdet(backend: str, args: argparse.Namespace) -> Callable[[], Objects]:
    """``RSDet.predict`` on the file."""
    from rsdet import RSDet

    model = RSDet(args.weights if backend == "torch" else args.exported)

    def run() -> Objects:
        (result,) = model.predict(
            source=args.scene, tile=TILE, overlap=OVERLAP_PX, conf=args.conf, quicklook=False, crops=0, verbose=False,
            project=str(args.work), name=f"rsdet-{backend}", exist_ok=True,
        )  # fmt: skip
        return result.found.boxes_xyxy, result.found.scores

    return run


def sahi(backend: str, args: argparse.Namespace, batch: int) -> Callable[[], Objects]:
    """``get_sliced_prediction`` on the picture, read as a whole."""
    import rasterio
    from sahi import AutoDetectionModel
    from sahi.predict import get_sliced_prediction

    model = AutoDetectionModel.from_pretrained(
        model_type="ultralytics", model_path=theirs(backend, args), confidence_threshold=args.conf, device="cpu",
        image_size=TILE,
    )  # fmt: skip

    def run() -> Objects:
        with rasterio.open(args.scene) as f:
            picture = np.ascontiguousarray(f.read().transpose(1, 2, 0))
        found = get_sliced_prediction(
            picture, model, slice_height=TILE, slice_width=TILE, overlap_height_ratio=OVERLAP_PX / TILE,
            overlap_width_ratio=OVERLAP_PX / TILE, perform_standard_pred=False, batch_size=batch, verbose=0,
        ).object_prediction_list  # fmt: skip
        boxes = np.array([o.bbox.to_xyxy() for o in found], float).reshape(-1, 4)
        return boxes, np.array([o.score.value for o in found], float)

    return run


def supervision(backend: str, args: argparse.Namespace, batch: int) -> Callable[[], Objects]:
    """``InferenceSlicer`` on the open file."""
    import rasterio
    import supervision as sv
    from ultralytics import YOLO

    model = YOLO(theirs(backend, args), task="detect")

    def several(tiles: list[np.ndarray]) -> list[sv.Detections]:
        bgr = [np.ascontiguousarray(t[..., ::-1]) for t in tiles]
        seen = model.predict(bgr, imgsz=TILE, conf=args.conf, verbose=False, device="cpu")
        return [sv.Detections.from_ultralytics(r) for r in seen]

    slicer = sv.InferenceSlicer(
        several if batch > 1 else lambda tile: several([tile])[0], slice_wh=TILE, overlap_wh=OVERLAP_PX,
        iou_threshold=0.5, batch_size=batch,
    )  # fmt: skip

    def run() -> Objects:
        with rasterio.open(args.scene) as f:
            found = slicer(f)
        return found.xyxy.astype(float), found.confidence

    return run


def contenders(backend: str, args: argparse.Namespace) -> dict[str, Callable[[], Callable[[], Objects]]]:
    """Name -> what makes it ready to run."""
    out: dict[str, Callable[[], Callable[[], Objects]]] = {"rsdet": lambda: rsdet(backend, args)}
    for batch in args.batches:
        out[f"SAHI, batch {batch}"] = lambda b=batch: sahi(backend, args, b)
        out[f"InferenceSlicer, batch {batch}"] = lambda b=batch: supervision(backend, args, b)
    return {name: make for name, make in out.items() if name.startswith(("rsdet", *args.beside))}


def timed(backend: str, args: argparse.Namespace) -> dict[str, Any]:
    """All of them on one backend, ``--turns`` times each after one to warm up on a part of the file system's cache."""
    import rasterio
    from ultralytics.nn import autobackend

    from rsdet.deploy.hardware import describe
    from rsdet.runtime import backends

    with rasterio.open(args.scene) as f:
        size_hw = (f.height, f.width)
    with np.load(args.scene.with_suffix(".npz")) as file:
        truth = file["boxes"]
    clock = Clock()
    clock.watch(autobackend.AutoBackend, "forward")
    clock.watch(backends.OpenVinoNetwork, "__call__")
    ready = {name: make() for name, make in contenders(backend, args).items()}
    tiles = int(np.prod([-(-(s - OVERLAP_PX) // (TILE - OVERLAP_PX)) for s in size_hw]))
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in ready}
    found: dict[str, Objects] = {}
    for turn in range(args.turns + 1):
        for name, run in ready.items():
            clock.seconds, began, cpu = 0.0, time.perf_counter(), time.process_time()
            found[name] = run()
            wall, cpu = time.perf_counter() - began, time.process_time() - cpu
            if turn:
                samples[name].append({"wall_s": wall, "network_s": clock.seconds, "cpu_s": cpu})
    rows, ours = {}, samples["rsdet"]
    for name, taken in samples.items():
        wall, network, cpu = (statistics.median(s[k] for s in taken) for k in ("wall_s", "network_s", "cpu_s"))
        rows[name] = {
            "cpu_ms": 1000 * cpu / tiles,
            "wall_s": wall, "network_s": network, "mpx_s": float(np.prod(size_hw)) / wall / 1e6,
            "overhead_ms": 1000 * statistics.median(s["wall_s"] - s["network_s"] for s in taken) / tiles,
            "to_rsdet": statistics.median(s["wall_s"] / o["wall_s"] for s, o in zip(taken, ours, strict=True)),
            "objects": len(found[name][0]), **accuracy(truth, *found[name], size_hw), "samples": taken,
        }  # fmt: skip
        print(backend, name, {k: v for k, v in rows[name].items() if k != "samples"})
    return {"backend": backend, "scene": args.scene.name, "pixels": int(np.prod(size_hw)), "tiles": tiles,
            "conf": args.conf, "rows": rows, "hardware": describe()}  # fmt: skip


def memory(args: argparse.Namespace) -> dict[str, Any]:
    """Peak memory of the whole process of each, in MiB."""
    import rasterio

    with rasterio.open(args.scene) as f:
        out: dict[str, Any] = {"scene": args.scene.name, "pixels": f.height * f.width}
    for backend in args.backends:
        for name in contenders(backend, args):
            command = [sys.executable, __file__, "one", "--scene", str(args.scene), "--weights", str(args.weights),
                       "--exported", str(args.exported), "--backends", backend, "--one", name, "--work", str(args.work),
                       "--batches", *map(str, args.batches), "--beside", *args.beside]  # fmt: skip
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            out[f"{backend}: {name}"] = float(said.split()[-1])
            print(backend, name, out[f"{backend}: {name}"])
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("time", "memory", "one"))
    parser.add_argument("--scene", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="detector of scene_weights.py")
    parser.add_argument("--exported", type=Path, help="the same, by rsdet export")
    parser.add_argument("--backends", nargs="+", choices=("torch", "openvino"), default=["torch", "openvino"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--beside", nargs="+", choices=OTHERS, default=list(OTHERS))
    parser.add_argument("--fp32", action="store_true", help="OpenVINO calculates in FP32 for all")
    parser.add_argument("--conf", type=float, default=0.1, help="below 0.1 SAHI changes its merging")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--one", help=argparse.SUPPRESS)  # in a child process
    parser.add_argument("--work", type=Path, default=Path("runs/scenes"))
    args = parser.parse_args()
    args.work, args.scene, args.weights = args.work.absolute(), args.scene.absolute(), args.weights.absolute()
    if args.step == "one":
        contenders(args.backends[0], args)[args.one]()()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    if args.fp32:
        keep_fp32()
    for backend in args.backends if args.step == "time" else ["all"]:
        how = f"{backend}-fp32" if args.fp32 else backend
        file = args.work / f"sahi-{args.step}-{how}-{args.scene.stem}.json"
        if not file.is_file():
            done = {**timed(backend, args), "backend": how} if args.step == "time" else memory(args)
            file.write_text(json.dumps(done, indent=1) + "\n")
        print(file)


if __name__ == "__main__":
    main()
