"""Speed, cost and accuracy of the same artifacts, measured in one run and stored with what they were measured on.

What makes the numbers comparable: every backend gets the same tensors and the same threads and runs in FP32 unless
FP16 was asked for; backends take turns run by run, so that drift of the machine hits all alike; no sample is dropped;
accuracy, where a dataset is given, is that of the very file that was timed. What cannot be measured is written as
such, never as a zero.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.pictures import reader_of
from rsdet.deploy import artifact as artifacts
from rsdet.deploy.complexity import Complexity, as_module, complexity
from rsdet.deploy.decode import detections_from_raw, preprocess
from rsdet.deploy.energy import Meter, find_meter, measure_energy
from rsdet.deploy.export import FORMATS, export
from rsdet.deploy.hardware import describe, slug, torch_device
from rsdet.deploy.memory import Memory, runner_memory
from rsdet.deploy.records import BenchmarkResult, BenchmarkRow, shown_command
from rsdet.deploy.rowtimes import row_times
from rsdet.deploy.runners import Runner, TorchRunner, open_runner
from rsdet.deploy.timing import time_interleaved
from rsdet.deploy.verify import parity_images
from rsdet.deploy.watch import Watcher
from rsdet.enhance.timing import time_parts
from rsdet.errors import ConfigError, MissingDependencyError
from rsdet.names import printable
from rsdet.writing import write_picture

REST_S = 0.005  # pause before each run, so that one backend's spinning threads are not in another one's time
PASS_REST_S = 2.0  # pause before each pass, for what the last one has heated up
CONF = 0.25  # score threshold of the end-to-end run: what a user predicts with


def benchmark(
    model: Any,
    *,
    formats: Sequence[str] = ("pytorch", "onnx", "openvino"),
    imgsz: int | Sequence[int] = 640,
    batch: int | Sequence[int] = (1,),
    data: str | Path | None = None,
    images: Sequence[str | Path] | None = None,
    device: str | int | None = "cpu",
    half: bool = False,
    threads: int | None = None,
    out: str | Path | None = None,
    rounds: int = 20,
    min_s: float = 3.0,
    max_s: float = 300.0,
    warmup_s: float = 1.0,
    accuracy_fn: Callable[[Any], Mapping[str, float]] | None = None,
    memory: bool = True,
    details: bool | None = None,
    check: bool = True,
    verbose: bool = True,
    chain: Any = None,
) -> BenchmarkResult:
    """Measure latency, throughput, complexity, memory and, with ``data``, accuracy.

    Args:
        model: A loaded model, a path (YAML, weights or exported file), or several of them in a list or, to name them
            yourself, a dictionary. The first is what the others' speed is given relative to.
        formats: Backends; one whose package is not installed is skipped with a note. For an exported file, only the
            backend it is made for.
        imgsz: Input size in pixels, one number or (height, width).
        batch: Batch size or sizes. Static graphs are exported for each.
        data: Data YAML; adds accuracy, by the model's own ``val``.
        images: Image files for the end-to-end time; rendered scenes when None.
        device: ``"cpu"`` or a CUDA GPU. OpenVINO runs on the CPU only.
        half: FP16.
        threads: Threads of every backend; PyTorch's setting when None.
        out: Folder for ``<hardware>.csv`` (a row per artifact), ``<hardware>.json`` (raw samples, hardware, command)
            and ``<hardware>.html`` (one page that needs nothing else). Nothing is written when None.
        rounds: Fewest samples of each kind.
        min_s: Shortest time to sample each artifact for, in seconds.
        max_s: Longest time for one comparison of all artifacts, in seconds.
        warmup_s: Shortest warm-up of each artifact and kind, in seconds.
        accuracy_fn: What to call with the loaded model or with the path of an artifact instead of ``val``.
        memory: Measure peak memory, each artifact in a process of its own; some seconds each.
        details: Per-layer times of the PyTorch models and sample detections, for the page; where None, only if one is
            written to ``out``.
        check: Refuse artifacts that disagree with their model. Only for weights that were never trained, whose
            near-equal scores leave the choice of queries to rounding, is there reason to switch it off.
        verbose: Print the tables and where the files lie.
        chain: Enhancers before the detectors (:class:`rsdet.enhance.chain.EnhanceChain`): timed part by part, and part
            of the time from image files to boxes.

    Returns:
        Rows, hardware and paths; ``result.tables()`` are what is printed.

    Raises:
        ConfigError: Nothing to measure, or arguments that do not fit.
        ExportError: An artifact disagrees with its model.
    """
    import torch

    device = torch_device(device)
    if half and device == "cpu":
        raise ConfigError("half=True on the CPU would time emulated arithmetic; leave half out, or set device=0")
    size = (imgsz, imgsz) if isinstance(imgsz, int) else tuple(int(s) for s in imgsz)
    batches = [batch] if isinstance(batch, int) else list(batch)
    bad = [f for f in formats if f not in ("pytorch", *FORMATS)]
    if bad or not formats or not batches or min(batches) < 1:
        raise ConfigError(
            f"formats={list(formats)}, batch={batches}; expected formats of pytorch, {', '.join(FORMATS)} and batches "
            "of 1 or more; correct the list"
        )
    before, threads = torch.get_num_threads(), threads or torch.get_num_threads()
    hardware = describe(device, threads)  # now: afterwards its load would be that of the measurement
    meter, no_meter = find_meter(device)
    instruments = _Instruments(device, meter, no_meter)
    sources = [_Source(name, m, size) for name, m in _named_models(model).items()]
    rows: list[BenchmarkRow] = []
    torch.set_num_threads(threads)
    try:
        with tempfile.TemporaryDirectory(prefix="rsdet-benchmark-") as folder:
            setup = _Setup(device, half, threads, memory, check, Path(folder))
            parts: list[dict[str, Any]] = []
            pictures = _picture_files(images, setup.folder)
            for source in [] if images else sources:
                source.sar = source.bands = None  # rendered scenes have 8 bits and 3 bands already
            timing = {"rounds": rounds, "min_s": min_s, "max_s": max_s, "warmup_s": warmup_s, "rest_s": REST_S}
            if chain is not None:
                chain.check_fast("a benchmark")
                seen = _read(pictures, 0, len(pictures), sources[0])
                parts = instruments.watch("enhance", lambda: time_parts(chain.to(device), seen, timing))
            for b in batches:
                entrants = [e for s in sources for e in _prepare(s, formats, (b, s.channels, *size), setup, pictures)]
                rows += _race(entrants, b, size, pictures, timing, instruments, chain)
                if b == batches[0] and (data is not None or accuracy_fn is not None):
                    for entrant, row in zip(entrants, rows, strict=True):
                        row.accuracy = _accuracy(entrant, data, size, device, accuracy_fn, chain)
            wanted = out is not None if details is None else details
            layers, shown = _details(sources, size, pictures) if wanted else ({}, {})
    finally:
        torch.set_num_threads(before)
        if meter is not None:
            meter.close()
    _best_throughput(rows)
    settings = {
        "precision": "fp16" if half else "fp32", "device": device, "data": Path(str(data)).name if data else None,
        "rest_before_run_s": REST_S, "rest_between_passes_s": PASS_REST_S, "warmup_s": warmup_s, "rounds": rounds,
        "min_s": min_s, **({} if chain is None else {"enhance": chain.describe()}),
    }  # fmt: skip
    result = BenchmarkResult(
        rows, hardware, shown_command(sys.argv), setup.notes, settings, instruments.watched, layers, shown
    )
    result.enhance = parts
    if out is not None:
        result.save(out, slug(device, "fp16" if half else "fp32", threads))
    if verbose:
        result.print()
    return result


# ------------------------------------------------------------------------------------------------- what is measured


@dataclass
class _Setup:
    """What is the same for all artifacts, and the notes that come up."""

    device: str
    half: bool
    threads: int
    memory: bool
    check: bool
    folder: Path
    notes: list[str] = field(default_factory=list)


@dataclass
class _Instruments:
    """What looks on while a pass is timed."""

    device: str
    meter: Meter | None
    no_meter: str
    watched: dict[str, dict[str, Any]] = field(default_factory=dict)

    def watch(self, name: str, timed: Callable[[], Any]) -> Any:
        """Rest, then run a pass with clocks, temperature and throttling watched from a thread of its own."""
        time.sleep(PASS_REST_S)
        with Watcher(self.device) as watcher:
            result = timed()
        self.watched[name] = watcher.summary
        return result


class _Source:
    """One model of the comparison: its name, its wrapper or its file, and what it costs."""

    def __init__(self, name: str, model: Any, size: tuple[int, int]):
        self.name, self.model, self.size, self.path = name, model, size, None
        if isinstance(model, (str, Path)):
            path = Path(model)
            if path.is_dir() or path.suffix in (".onnx", ".torchscript", ".xml"):
                self.path, self.model = path, None
            else:
                from rsdet.model import RSDet

                self.model = RSDet(str(model))
        self.cost: Complexity | None = None
        self.channels = 3
        if self.path is None:
            module = as_module(self.model)
            self.family = getattr(self.model, "family", None) or artifacts.family_of(module)
            spec = getattr(module, "yaml", None) or {}
            self.channels, self.sar, self.bands = int(spec.get("channels", 3)), spec.get("sar"), spec.get("bands")
            self.cost = complexity(module, size, self.channels)
        else:
            said = artifacts.read_metadata(self.path)
            self.family, self.channels = said.get("family", "rtdetr"), int(said.get("channels", 3))
            self.sar, self.bands = said.get("sar"), said.get("bands")


class _Entrant:
    """A runner with everything that its row of the table needs."""

    def __init__(self, source: _Source, runner: Runner, where: Any, size_mb: float | None, memory: dict, parity: str):
        self.source, self.runner, self.where = source, runner, where
        self.size_mb, self.memory, self.parity = size_mb, memory, parity
        self.name = f"{source.name} {runner.format}"


def _named_models(model: Any) -> dict[str, Any]:
    if isinstance(model, Mapping):
        named = dict(model)
    else:
        named = {}
        for i, m in enumerate(model if isinstance(model, (list, tuple)) else [model]):
            file = m if isinstance(m, (str, Path)) else getattr(m, "model_name", None) or f"model {i}"
            stem = printable(Path(str(file)).stem)
            named[stem if stem not in named else f"{stem} ({i})"] = m
    if not named:
        raise ConfigError("got no model; expected at least one; pass model=")
    return named


def _prepare(
    source: _Source, formats: Sequence[str], shape: tuple[int, ...], setup: _Setup, pictures: Sequence[Path]
) -> list[_Entrant]:
    """Export, load and run each format of one model once; what cannot be had here becomes a note."""
    found = []
    for fmt in formats if source.path is None else ["file"]:
        try:
            parity, where, size_mb = "reference", source.model, None
            if fmt == "file":
                where, parity = source.path, "not checked: given without its model"
            elif fmt != "pytorch":
                if fmt == "openvino" and setup.device != "cpu":
                    raise MissingDependencyError(f"OpenVINO runs on the CPU, not on {setup.device}; pass device=cpu")
                checked_on = _read(pictures, 0, min(4, len(pictures)), source)
                made = export(
                    source.model, fmt, imgsz=source.size, batch=shape[0], half=setup.half, verbose=False,
                    out=setup.folder / f"{source.name}-b{shape[0]}", images=checked_on,
                    device=setup.device if fmt == "torchscript" else None,
                    **({} if setup.check else {"box_tol_px": float("inf"), "score_tol": float("inf")}),
                )  # fmt: skip
                parity = made.parity.summary() if setup.check else "not enforced"
                where, size_mb = made.path, made.size_mb
            what = as_module(source.model) if fmt == "pytorch" else where
            memory = Memory()
            if setup.memory:
                memory = runner_memory(what, shape, setup.device, setup.half, setup.threads)
            if fmt == "pytorch":
                runner: Runner = TorchRunner(what, setup.device, setup.half, threads=setup.threads)
            else:
                runner = open_runner(where, setup.device, setup.threads)
            found.append(_Entrant(source, runner, where, size_mb, memory.as_dict(), parity))
        except MissingDependencyError as e:
            why = str(e).partition("; or take ")[0]  # what lies in this folder is gone afterwards
            note = f"{source.name} {fmt}: not measurable here: {why}"
            setup.notes.extend([note] if note not in setup.notes else [])
    return found


def _race(
    entrants: Sequence[_Entrant],
    batch: int,
    size: tuple[int, int],
    pictures: Sequence[Path],
    timing: Mapping[str, Any],
    instruments: _Instruments,
    chain: Any = None,
) -> list[BenchmarkRow]:
    """Time all entrants in turns, first the networks alone, then file to boxes; energy last, one by one."""
    if not entrants:
        raise ConfigError("no backend could be loaded; expected at least one; pass formats=pytorch")
    inputs = {_kind(s): preprocess(_read(pictures, 0, batch, s), s.family, size) for s in (e.source for e in entrants)}
    settings = {**timing, "sync": lambda: [e.runner.synchronize() for e in entrants]}
    networks = {e.name: _network(e, inputs[_kind(e.source)]) for e in entrants}
    wholes = {e.name: _end_to_end(e, pictures, batch, size, chain) for e in entrants}
    of_batch = "" if "network" not in instruments.watched else f" b{batch}"
    network = instruments.watch(f"network{of_batch}", lambda: time_interleaved(networks, **settings))
    whole = instruments.watch(f"end_to_end{of_batch}", lambda: time_interleaved(wholes, **settings))
    energy = {
        e.name: measure_energy(
            networks[e.name], batch, instruments.meter, why_not=instruments.no_meter, sync=e.runner.synchronize
        )
        for e in entrants
    }
    return [
        BenchmarkRow(
            model=e.source.name,
            format=e.runner.format,
            imgsz=size,
            batch=batch,
            cost=e.source.cost,
            network=network.timings[e.name],
            end_to_end=whole.timings[e.name],
            ratio_network=network.median_of_ratios[e.name],
            ratio_end_to_end=whole.median_of_ratios[e.name],
            reference=network.reference,
            size_mb=e.size_mb,
            memory=e.memory,
            parity=e.parity,
            energy=energy[e.name].as_dict(),
        )
        for e in entrants
    ]


def _network(entrant: _Entrant, x: np.ndarray) -> Callable[[], Any]:
    return lambda: entrant.runner(x)


def _end_to_end(
    entrant: _Entrant, pictures: Sequence[Path], batch: int, size: tuple[int, int], chain: Any = None
) -> Callable[[], Any]:
    """Decode files, enhance where there is a chain, preprocess, run, postprocess.

    Each call takes the next files, the same ones for every entrant.
    """
    turn = iter(range(sys.maxsize))

    def run() -> Any:
        images = _read(pictures, next(turn) * batch, batch, entrant.source)
        if chain is not None:
            images = [chain.apply_bgr(image) for image in images]
        raw = entrant.runner(preprocess(images, entrant.source.family, size))
        return detections_from_raw(raw, entrant.source.family, size, [im.shape[:2] for im in images], conf=CONF)

    return run


def _kind(source: _Source) -> tuple[str, int, str]:
    """Models of one kind take the same input."""
    return source.family, source.channels, str((source.sar, source.bands))


def _read(pictures: Sequence[Path], start: int, n: int, source: _Source) -> list[np.ndarray]:
    reader = reader_of(source.sar, source.channels, source.bands)
    return [reader(pictures[(start + i) % len(pictures)]) for i in range(n)]


def _picture_files(images: Sequence[str | Path] | None, folder: Path) -> list[Path]:
    """The files of the end-to-end run: those given, else rendered scenes as JPEG, the usual format of a camera."""
    if images:
        return [Path(p) for p in images]
    files = []
    for i, image in enumerate(parity_images(None)):
        files.append(folder / f"scene{i}.jpg")
        write_picture(files[-1], image)
    return files


def _accuracy(
    entrant: _Entrant,
    data: Any,
    size: tuple[int, int],
    device: str,
    fn: Callable[[Any], Mapping[str, float]] | None,
    chain: Any = None,
) -> dict[str, float]:
    if fn is not None:
        return dict(fn(entrant.where))
    wrapper = entrant.where
    if isinstance(wrapper, Path):
        from rsdet.model import RSDet

        kind = RSDet if entrant.source.model is None else type(entrant.source.model)
        wrapper = kind(str(wrapper))
    square = size[0] if size[0] == size[1] else list(size)
    enhanced = {} if chain is None else {"enhance": chain}
    metrics = wrapper.val(
        data=data, imgsz=square, batch=1, device=device.removeprefix("cuda:"), plots=False, **enhanced
    )
    wanted = {"metrics/mAP50-95(B)": "AP", "metrics/mAP50(B)": "AP50"}
    table = {f"ultralytics {wanted[k]}": float(v) for k, v in metrics.results_dict.items() if k in wanted}
    ours = getattr(metrics, "protocol_metrics", None)  # only our own models are validated under a protocol
    if ours is not None:
        found = {"AP": ours.ap, "AP50": ours.ap50}
        table = {f"{ours.protocol.name} {k}": v for k, v in found.items() if v is not None} | table
    return table


def _details(
    sources: Sequence[_Source], size: tuple[int, int], pictures: Sequence[Path]
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
    """Per-layer times and a picture with detections of each model that is at hand in PyTorch."""
    layers, shown = {}, {}
    for source in sources:
        if source.model is None:
            continue
        if size[0] == size[1]:
            fused = deepcopy(as_module(source.model)).eval().fuse(verbose=False)
            layers[source.name] = [vars(r) for r in row_times(fused, size[0])]
        if hasattr(source.model, "predict"):
            (result,) = source.model.predict(pictures[0], imgsz=list(size), conf=CONF, save=False, verbose=False)
            result.legend = True
            shown[f"{source.name}, {pictures[0].name}"] = result.plot()
    return layers, shown


def _best_throughput(rows: Sequence[BenchmarkRow]) -> None:
    """Give every row of an artifact the best rate over its batch sizes."""
    for row in rows:
        same = [r for r in rows if (r.model, r.format) == (row.model, row.format)]
        best = max(same, key=lambda r: r.images_per_s)
        row.best_images_per_s, row.best_batch = best.images_per_s, best.batch
