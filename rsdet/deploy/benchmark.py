"""Speed, cost and accuracy of the same artifacts, measured in one run and stored with what they were measured on.

What makes the numbers comparable: every backend gets the same tensors and the same threads and runs in FP32 unless
FP16 was asked for; backends take turns run by run, so that drift of the machine hits all alike; no sample is dropped;
accuracy, where a dataset is given, is that of the very file that was timed. What cannot be measured is written as
such, never as a zero.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.deploy.energy import Meter, find_meter, measure_energy
from rsdet.deploy.entrants import Entrant, Setup, Source, inputs_of, named_models, pictures_of, prepare, size_of
from rsdet.deploy.export import FORMATS
from rsdet.deploy.hardware import describe, slug, torch_device
from rsdet.deploy.records import BenchmarkResult, BenchmarkRow, shown_command
from rsdet.deploy.rowtimes import row_times
from rsdet.deploy.runners import TorchRunner
from rsdet.deploy.timing import time_interleaved
from rsdet.deploy.watch import Watcher
from rsdet.enhance.timing import time_parts
from rsdet.errors import ConfigError

REST_S = 0.005  # pause before each run, so that one backend's spinning threads are not in another one's time
PASS_REST_S = 2.0  # pause before each pass, for what the last one has heated up
SHOWN = 2  # pictures of each model on the page


def benchmark(
    model: Any,
    *,
    formats: Sequence[str] = ("pytorch", "onnx", "openvino"),
    imgsz: int | Sequence[int] | None = None,
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
    enhance: Any = None,
    enhance_tile: int | None = None,
    enhance_overlap: int | None = None,
) -> BenchmarkResult:
    """Measure latency, throughput, complexity, memory and, with ``data``, accuracy of models of any one task.

    Args:
        model: A loaded model, a path (YAML, weights or exported file), or several of them in a list or, to name them
            yourself, a dictionary. The first is what the others' speed is given relative to.
        formats: Backends; one whose package is not installed is skipped with a note. For an exported file, only the
            backend it is made for.
        imgsz: Input size in pixels, one number or (height, width); where None, that of an exported file, else that of
            the task: 640 for detectors, tiles of 256 for models that restore pictures.
        batch: Batch size or sizes. Static graphs are exported for each.
        data: Data YAML; pictures of its validation split are timed and shown, and accuracy is added, by the model's
            own ``val``.
        images: Image files to time and show instead; rendered scenes without ``data`` and ``images``.
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
        details: Per-layer times of the PyTorch models and pictures of what they make, for the page; where None, only
            if one is written to ``out``.
        check: Refuse artifacts that disagree with their model. Only for weights that were never trained, whose
            near-equal scores leave the choice of queries to rounding, is there reason to switch it off.
        verbose: Print the tables and where the files lie.
        enhance: Enhancers before detectors (:func:`rsdet.enhance.loading.load_chain`): timed part by part, and part of
            the time from files.
        enhance_tile: Side of the tiles of enhancers in pixels.
        enhance_overlap: Pixels that neighbouring tiles share.

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
    batches = [batch] if isinstance(batch, int) else list(batch)
    bad = [f for f in formats if f not in ("pytorch", *FORMATS)]
    if bad or not formats or not batches or min(batches) < 1:
        raise ConfigError(
            f"formats={list(formats)}, batch={batches}; expected formats of pytorch, {', '.join(FORMATS)} and batches "
            "of 1 or more; correct the list"
        )
    before, threads = torch.get_num_threads(), threads or torch.get_num_threads()
    hardware = describe(device, threads)  # now: afterwards its load would be that of the measurement
    sources = [Source(name, m) for name, m in named_models(model).items()]
    task, *others = {s.task.name: s.task for s in sources}.values()
    if others:
        raise ConfigError(
            f"the models are for different tasks ({task.name}, {others[0].name}); measure each task by itself."
        )
    native = next((s.model for s in sources if s.module is not None), None)
    size = size_of(sources, task.imgsz) if imgsz is None else imgsz
    size = (size, size) if isinstance(size, int) else (*size, *size)[:2]
    size = size if native is None else task.input_size(native, size)
    asked = {"enhance": enhance, "enhance_tile": enhance_tile, "enhance_overlap": enhance_overlap}
    chain = task.chain(sources[0].model, {k: v for k, v in asked.items() if v is not None})
    for source in sources:
        source.count(size)
    meter, no_meter = find_meter(device)
    instruments = _Instruments(device, meter, no_meter)
    rows: list[BenchmarkRow] = []
    torch.set_num_threads(threads)
    try:
        with tempfile.TemporaryDirectory(prefix="rsdet-benchmark-") as folder:
            setup = Setup(task, size, device, half, threads, memory, check, Path(folder))
            pictures = pictures_of(setup, sources, images, data)
            parts: list[dict[str, Any]] = []
            timing = {"rounds": rounds, "min_s": min_s, "max_s": max_s, "warmup_s": warmup_s, "rest_s": REST_S}
            if chain is not None:
                chain.check_fast("a benchmark")
                seen = [task.read(p, sources[0].spec) for p in pictures]
                parts = instruments.watch("enhance", lambda: time_parts(chain.to(device), seen, timing))
            for b in batches:
                entrants = [e for s in sources for e in prepare(s, formats, b, setup, pictures)]
                setup.ground = task.ground(sources[0].spec, size, data, pictures)
                rows += _race(entrants, b, setup, pictures, timing, instruments, chain)
                if b == batches[0] and (data is not None or accuracy_fn is not None):
                    for entrant, row in zip(entrants, rows, strict=True):
                        row.accuracy = _accuracy(entrant, data, setup, accuracy_fn, chain)
            wanted = out is not None if details is None else details
            layers, shown = _details(sources, setup, pictures) if wanted else ({}, {})
    finally:
        torch.set_num_threads(before)
        if meter is not None:
            meter.close()
    _best_throughput(rows)
    settings = {
        "task": task.name, "precision": "fp16" if half else "fp32", "device": device,
        "data": Path(str(data)).name if data else None, "pictures": setup.pictures, "end_to_end": task.end_to_end,
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


def _race(
    entrants: Sequence[Entrant],
    batch: int,
    setup: Setup,
    pictures: Sequence[Path],
    timing: Mapping[str, Any],
    instruments: _Instruments,
    chain: Any = None,
) -> list[BenchmarkRow]:
    """Time all entrants in turns, first the networks alone, then from files; energy last, one by one."""
    if not entrants:
        raise ConfigError("no backend could be loaded; expected at least one; pass formats=pytorch")
    inputs: dict[str, Any] = {}
    for source in (e.source for e in entrants):
        if source.kind not in inputs:
            inputs[source.kind] = setup.task.preprocess(
                inputs_of(source, batch, setup, pictures), source.spec, setup.size
            )
    settings = {**timing, "sync": lambda: [e.runner.synchronize() for e in entrants]}
    networks = {e.name: _network(e, inputs[e.source.kind]) for e in entrants}
    of_batch = "" if "network" not in instruments.watched else f" b{batch}"
    network = instruments.watch(f"network{of_batch}", lambda: time_interleaved(networks, **settings))
    whole = None
    if setup.task.end_to_end and pictures:
        wholes = {e.name: _end_to_end(e, pictures, batch, setup, chain) for e in entrants}
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
            imgsz=setup.size,
            batch=batch,
            cost=e.source.cost,
            network=network.timings[e.name],
            end_to_end=whole and whole.timings[e.name],
            ratio_network=network.median_of_ratios[e.name],
            ratio_end_to_end=whole and whole.median_of_ratios[e.name],
            reference=network.reference,
            size_mb=e.size_mb,
            memory=e.memory,
            parity=e.parity,
            energy=energy[e.name].as_dict(),
            pixels=setup.ground[0],
            gsd=setup.ground[1],
        )
        for e in entrants
    ]


def _network(entrant: Entrant, x: np.ndarray) -> Callable[[], Any]:
    return lambda: entrant.runner(x)


def _end_to_end(entrant: Entrant, pictures: Sequence[Path], batch: int, setup: Setup, chain: Any) -> Callable[[], Any]:
    """From files to the outcome; each call takes the next files, the same ones for every entrant."""
    run = setup.task.pipeline(entrant.runner, entrant.source.spec, setup.size, chain)
    turn = itertools.cycle(pictures)
    return lambda: run(list(itertools.islice(turn, batch)))


def _accuracy(
    entrant: Entrant,
    data: Any,
    setup: Setup,
    fn: Callable[[Any], Mapping[str, float]] | None,
    chain: Any = None,
) -> dict[str, float] | None:
    if fn is not None:
        return dict(fn(entrant.where))
    if entrant.source.spec.get("untrained"):
        setup.note(f"{entrant.source.name}: accuracy is not measured, it has no weights but random ones")
        return None
    wrapper = entrant.where
    if isinstance(wrapper, Path):
        wrapper = entrant.source.model if entrant.source.path else type(entrant.source.model)(str(wrapper))
    height, width = setup.size
    return setup.task.score(
        wrapper, data, imgsz=height if height == width else [height, width], batch=1,
        device=setup.device.removeprefix("cuda:"), project=str(setup.folder),
        **({} if chain is None else {"enhance": chain}),
    )  # fmt: skip


def _details(
    sources: Sequence[Source], setup: Setup, pictures: Sequence[Path]
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
    """Per-layer times, and pictures of what it makes, of each model that is at hand in PyTorch."""
    layers, shown = {}, {}
    for source in sources:
        if source.module is None:
            continue
        layers[source.name] = [vars(r) for r in row_times(TorchRunner(source.module).module, setup.size)]
        for file in pictures[:SHOWN]:
            picture = setup.task.draw(source.model, file, source.spec, setup.size)
            if picture is not None:
                alone = " (no weights: the picture alone)" if source.spec["untrained"] else ""
                shown[f"{source.name}, {file.name}{alone}"] = picture
    return layers, shown


def _best_throughput(rows: Sequence[BenchmarkRow]) -> None:
    """Give every row of an artifact the best rate over its batch sizes."""
    for row in rows:
        same = [r for r in rows if (r.model, r.format) == (row.model, row.format)]
        best = max(same, key=lambda r: r.images_per_s)
        row.best_images_per_s, row.best_batch = best.images_per_s, best.batch
