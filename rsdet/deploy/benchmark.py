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

from rsdet import tasks
from rsdet.data.scenes import render_scene
from rsdet.deploy import artifact as artifacts
from rsdet.deploy.complexity import Complexity, as_module, complexity
from rsdet.deploy.energy import Meter, find_meter, measure_energy
from rsdet.deploy.export import FORMATS, export
from rsdet.deploy.hardware import describe, slug, torch_device
from rsdet.deploy.memory import Memory, runner_memory
from rsdet.deploy.records import BenchmarkResult, BenchmarkRow, shown_command
from rsdet.deploy.rowtimes import row_times
from rsdet.deploy.runners import Runner, TorchRunner, open_runner
from rsdet.deploy.timing import time_interleaved
from rsdet.deploy.watch import Watcher
from rsdet.enhance.timing import time_parts
from rsdet.errors import ConfigError, DataError, MissingDependencyError
from rsdet.loadedmodel import opened
from rsdet.names import printable
from rsdet.tasks.task import Task
from rsdet.writing import write_picture

REST_S = 0.005  # pause before each run, so that one backend's spinning threads are not in another one's time
PASS_REST_S = 2.0  # pause before each pass, for what the last one has heated up
FILES = 32  # of a data set, that take turns from file to outcome
SCENES = 8  # rendered where there are no files
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
    sources = [_Source(name, m) for name, m in _named_models(model).items()]
    task, *others = {s.task.name: s.task for s in sources}.values()
    if others:
        raise ConfigError(
            f"the models are for different tasks ({task.name}, {others[0].name}); measure each task by itself."
        )
    native = next((s.model for s in sources if s.module is not None), None)
    size = _size(sources, task.imgsz) if imgsz is None else imgsz
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
            setup = _Setup(task, size, device, half, threads, memory, check, Path(folder))
            pictures = _pictures(setup, sources, images, data)
            parts: list[dict[str, Any]] = []
            timing = {"rounds": rounds, "min_s": min_s, "max_s": max_s, "warmup_s": warmup_s, "rest_s": REST_S}
            if chain is not None:
                chain.check_fast("a benchmark")
                seen = [task.read(p, sources[0].spec) for p in pictures]
                parts = instruments.watch("enhance", lambda: time_parts(chain.to(device), seen, timing))
            for b in batches:
                entrants = [e for s in sources for e in _prepare(s, formats, b, setup, pictures)]
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
class _Setup:
    """What is the same for all artifacts, and the notes that come up."""

    task: Task
    size: tuple[int, int]
    device: str
    half: bool
    threads: int
    memory: bool
    check: bool
    folder: Path
    pictures: str = "random"
    ground: tuple[int, float | None] = (0, None)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a note once."""
        self.notes.extend([text] if text not in self.notes else [])


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
    """One model of the comparison: its name, its wrapper, its network or its file, what it says of itself and costs."""

    def __init__(self, name: str, model: Any):
        self.name, self.model = name, opened(str(model)) if isinstance(model, (str, Path)) else model
        self.task = tasks.get(self.model.task)
        self.path = Path(self.model.model) if isinstance(self.model.model, (str, Path)) else None
        self.module = None if self.path else as_module(self.model)
        self.cost: Complexity | None = None
        if self.module is None:
            said = artifacts.read_metadata(self.path)
            self.spec = {**said, "family": self.model.family, "channels": int(said.get("channels", 3))}
        else:
            said = {k: self.module.yaml.get(k) for k in ("sar", "bands", "gsd")}
            self.spec = {
                **said, "family": artifacts.family_of(self.model, self.module, self.task),
                "channels": self.module.yaml.get("channels", 3), "names": getattr(self.module, "names", {}),
                "untrained": getattr(self.model, "untrained", False),  # Ultralytics' own do not say
                **self.task.describe(self.module),
            }  # fmt: skip

    @property
    def kind(self) -> str:
        """Models of one kind take the same input."""
        return str([self.spec.get(k) for k in ("family", "channels", "sar", "bands")])

    def count(self, size: tuple[int, int]) -> None:
        """Count parameters and operations where the network is at hand."""
        if self.module is not None:
            self.cost = complexity(self.module, size, self.spec["channels"])


class _Entrant:
    """A runner with everything that its row of the table needs."""

    def __init__(self, source: _Source, runner: Runner, where: Any, size_mb: float | None, memory: dict, parity: str):
        self.source, self.runner, self.where = source, runner, where
        self.size_mb, self.memory, self.parity = size_mb, memory, parity
        self.name = f"{source.name} {runner.format}"


def _size(sources: Sequence[_Source], usual: int) -> int | Sequence[int]:
    """Height and width in pixels where nobody says them: those of the exported files among the models.

    Raises:
        ConfigError: Files of several sizes.
    """
    said = [s.spec.get("imgsz") for s in sources if s.path is not None]
    sizes = {(n, n) if isinstance(n, int) else (*n, *n)[:2] for n in said if n}
    if len(sizes) > 1:
        raise ConfigError(f"the files take inputs of {sorted(sizes)} pixels; measure each by itself.")
    return sizes.pop() if sizes else usual


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


def _pictures(
    setup: _Setup, sources: Sequence[_Source], images: Sequence[str | Path] | None, data: str | Path | None
) -> list[Path]:
    """The files of the run: those given, else of the data, else rendered scenes as JPEG, what cameras usually write."""
    task, spec = setup.task, sources[0].spec
    if images:
        setup.pictures = f"{len(images)} given as images="
        return [Path(p) for p in images]
    if data is not None:
        files = []
        for file in task.pictures(data, spec, setup.folder, FILES):
            try:
                task.read(file, spec)
                files.append(file)
            except DataError as e:
                setup.note(f"left out: {e}")
        if files:
            setup.pictures = f"{len(files)} of the validation split of {Path(str(data)).name}"
            return files
    if not task.end_to_end:
        setup.note(f"from files to an outcome is not timed: task={task.name} times the network alone")
        return []
    if any(s.spec["channels"] not in (1, 3) for s in sources):
        setup.note(f"{task.end_to_end} is not timed: no such inputs are rendered; pass data= or images=")
        return []
    setup.pictures = f"{SCENES} rendered scenes"
    for source in sources:
        source.spec.update(sar=None, bands=None)  # rendered scenes have 8 bits and 3 bands already
    files = [setup.folder / f"scene{i}.jpg" for i in range(SCENES)]
    for i, file in enumerate(files):
        write_picture(file, np.ascontiguousarray(render_scene(i).image[..., ::-1]))
    return files


def _inputs(source: _Source, n: int, setup: _Setup, pictures: Sequence[Path]) -> list[Any]:
    """As many inputs of a model."""
    read = [setup.task.read(p, source.spec) for p in pictures[:n]] if setup.task.end_to_end else None
    return list(itertools.islice(itertools.cycle(setup.task.sample(source.model, setup.size, read or None)), n))


def _prepare(
    source: _Source, formats: Sequence[str], batch: int, setup: _Setup, pictures: Sequence[Path]
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
                made = export(
                    source.model, fmt, imgsz=setup.size, batch=batch, half=setup.half, verbose=False,
                    out=setup.folder / f"{source.name}-b{batch}", images=_inputs(source, 4, setup, pictures),
                    device=setup.device if fmt == "torchscript" else None,
                    **({} if setup.check else setup.task.unchecked),
                )  # fmt: skip
                parity = made.parity.summary() if setup.check else "not enforced"
                where, size_mb = made.path, made.size_mb
            what = source.module if fmt == "pytorch" else where
            memory = Memory()
            if setup.memory:
                shape = (batch, source.spec["channels"], *setup.size)
                memory = runner_memory(what, shape, setup.device, setup.half, setup.threads)
            if fmt == "pytorch":
                runner: Runner = TorchRunner(what, setup.device, setup.half, threads=setup.threads)
            else:
                runner = open_runner(where, setup.device, setup.threads)
            found.append(_Entrant(source, runner, where, size_mb, memory.as_dict(), parity))
        except MissingDependencyError as e:
            why = str(e).partition("; or take ")[0]  # what lies in this folder is gone afterwards
            setup.note(f"{source.name} {fmt}: not measurable here: {why}")
    return found


def _race(
    entrants: Sequence[_Entrant],
    batch: int,
    setup: _Setup,
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
                _inputs(source, batch, setup, pictures), source.spec, setup.size
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


def _network(entrant: _Entrant, x: np.ndarray) -> Callable[[], Any]:
    return lambda: entrant.runner(x)


def _end_to_end(
    entrant: _Entrant, pictures: Sequence[Path], batch: int, setup: _Setup, chain: Any
) -> Callable[[], Any]:
    """From files to the outcome; each call takes the next files, the same ones for every entrant."""
    run = setup.task.pipeline(entrant.runner, entrant.source.spec, setup.size, chain)
    turn = itertools.cycle(pictures)
    return lambda: run(list(itertools.islice(turn, batch)))


def _accuracy(
    entrant: _Entrant,
    data: Any,
    setup: _Setup,
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
    sources: Sequence[_Source], setup: _Setup, pictures: Sequence[Path]
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
