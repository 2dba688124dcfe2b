"""What a benchmark measures: models, the pictures that they look at, and their networks and files, ready to run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet import tasks
from rsdet.data.scenes import render_scene
from rsdet.deploy import artifact as artifacts
from rsdet.deploy.complexity import Complexity, as_module, complexity
from rsdet.deploy.export import export
from rsdet.deploy.memory import Memory, runner_memory
from rsdet.deploy.runners import Runner, TorchRunner, open_runner
from rsdet.errors import ConfigError, DataError, MissingDependencyError
from rsdet.loadedmodel import opened
from rsdet.names import printable
from rsdet.tasks.task import Task
from rsdet.writing import write_picture

FILES = 32  # of a data set, that take turns from file to outcome
SCENES = 8  # rendered where there are no files


@dataclass
class Setup:
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


class Source:
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


class Entrant:
    """A runner with everything that its row of the table needs."""

    def __init__(self, source: Source, runner: Runner, where: Any, size_mb: float | None, memory: dict, parity: str):
        self.source, self.runner, self.where = source, runner, where
        self.size_mb, self.memory, self.parity = size_mb, memory, parity
        self.name = f"{source.name} {runner.format}"


def size_of(sources: Sequence[Source], usual: int) -> int | Sequence[int]:
    """Height and width in pixels where nobody says them: those of the exported files among the models.

    Raises:
        ConfigError: Files of several sizes.
    """
    said = [s.spec.get("imgsz") for s in sources if s.path is not None]
    sizes = {(n, n) if isinstance(n, int) else (*n, *n)[:2] for n in said if n}
    if len(sizes) > 1:
        raise ConfigError(f"the files take inputs of {sorted(sizes)} pixels; measure each by itself.")
    return sizes.pop() if sizes else usual


def named_models(model: Any) -> dict[str, Any]:
    """Models by the names under which a benchmark tells of them.

    Args:
        model: One model, several in a list, or a dictionary of names to models.

    Raises:
        ConfigError: None is given.
    """
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


def pictures_of(
    setup: Setup, sources: Sequence[Source], images: Sequence[str | Path] | None, data: str | Path | None
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


def inputs_of(source: Source, n: int, setup: Setup, pictures: Sequence[Path]) -> list[Any]:
    """As many inputs of a model."""
    read = [setup.task.read(p, source.spec) for p in pictures[:n]] if setup.task.end_to_end else None
    return list(itertools.islice(itertools.cycle(setup.task.sample(source.model, setup.size, read or None)), n))


def prepare(
    source: Source, formats: Sequence[str], batch: int, setup: Setup, pictures: Sequence[Path]
) -> list[Entrant]:
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
                    out=setup.folder / f"{source.name}-b{batch}", images=inputs_of(source, 4, setup, pictures),
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
            found.append(Entrant(source, runner, where, size_mb, memory.as_dict(), parity))
        except MissingDependencyError as e:
            why = str(e).partition("; or take ")[0]  # what lies in this folder is gone afterwards
            setup.note(f"{source.name} {fmt}: not measurable here: {why}")
    return found
