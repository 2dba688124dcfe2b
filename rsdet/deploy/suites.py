"""Named sets of models that are measured beside each other in one run: the comparisons of the papers' tables.

All of them are built by rsdet, Ultralytics' own models too, so that every artifact is timed by the same code and judged
under the same protocol. Without weights the networks are random: that is good for speed, memory and cost, and says
nothing about accuracy, which is then refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsdet.errors import ConfigError, nearest

_SUFFIXES = (".pt", ".safetensors")


@dataclass(frozen=True)
class Entry:
    """One model of a suite.

    Attributes:
        name: What it is called in the tables; also the stem of its weights file.
        yaml: Model YAML, ours or Ultralytics'.
        scale: Scale of our YAML; its own when None.
        same_as: Another entry with the same network, trained in another way; timed only with weights of its own.
    """

    name: str
    yaml: str
    scale: str | None = None
    same_as: str | None = None


@dataclass(frozen=True)
class Suite:
    """What is compared.

    Attributes:
        about: One line.
        entries: The models; the first is what ratios are relative to.
        nc: Classes of networks with random weights.
    """

    about: str
    entries: tuple[Entry, ...]
    nc: int = 80


@dataclass
class SuiteModels:
    """A suite that is ready to be measured.

    Attributes:
        name: Name of the suite.
        models: Name to loaded model, for :func:`rsdet.deploy.benchmark.benchmark`.
        untrained: Those with random weights.
        notes: What was left out or must be known when reading the table.
    """

    name: str
    models: dict[str, Any]
    untrained: list[str]
    notes: list[str] = field(default_factory=list)


def _stock(*names: str) -> tuple[Entry, ...]:
    return tuple(Entry(n, f"{n}.yaml") for n in names)


def _sar(*endings: tuple[str, str | None]) -> tuple[Entry, ...]:
    def name(ending: str) -> str:
        return f"sar-ship-ablate-{ending}" if ending else "sar-ship"

    return tuple(Entry(name(e), f"{name(e)}.yaml", "n", None if same is None else name(same)) for e, same in endings)


SUITES: dict[str, Suite] = {
    "paper-vmc": Suite(
        "VMC-DETR against the detectors of the paper's comparison",
        (
            *_stock("rtdetr-r18"),
            Entry("vmc-detr", "vmc-detr.yaml"),
            *_stock("rtdetr-l", "yolov8m", "yolov9m", "yolov10m", "yolo11m", "yolo26m"),
        ),
    ),
    "paper-sar": Suite(
        "the SAR ship detector, its ablations and the nano detectors of Ultralytics",
        (
            *_stock("yolov5n"),
            *_sar(("", None)),
            # W is a loss: it changes what is learnt, not the network.
            *_sar(("base", None), ("w", "base"), ("s", None), ("h", None), ("ws", "s"), ("wh", "h"), ("sh", "")),
            *_stock("yolov8n", "yolo11n", "yolo26n"),
        ),
        nc=1,
    ),
    "speed": Suite(
        "each of our detectors beside the one it builds on",
        (
            *_stock("rtdetr-r18"),
            Entry("vmc-detr", "vmc-detr.yaml"),
            Entry("vmc-detr-n", "vmc-detr.yaml", "n"),
            *_stock("rtdetr-l", "yolov5n"),
            Entry("sar-ship", "sar-ship.yaml", "n"),
        ),
    ),
}
_TWO_HEADED = ("yolov10", "yolo26")  # Ultralytics runs them with suppression unless told otherwise


def suite_models(
    name: str, weights: str | Path | Mapping[str, str | Path] | None = None, nc: int | None = None
) -> SuiteModels:
    """Load or build the models of a suite.

    Args:
        name: ``"paper-vmc"``, ``"paper-sar"`` or ``"speed"``.
        weights: A folder with ``<name>.pt`` or ``<name>.safetensors`` for the models that are trained, or a mapping of
            name to file. Models without a file get random weights.
        nc: Classes of the random ones; the suite's own number when None.

    Raises:
        ConfigError: No such suite or model, or a folder without weights of any of its models.
    """
    suite = _suite(name)
    files = _files(name, suite, weights)
    models, untrained, same, notes = {}, [], [], []
    for entry in suite.entries:
        if entry.name in files:
            models[entry.name] = _load(files[entry.name])
        elif entry.same_as is not None:
            same.append(f"{entry.name} ({entry.same_as})")
        else:
            models[entry.name] = _build(entry, nc or suite.nc)
            untrained.append(entry.name)
    if same:
        notes.append(f"the same network as another row, not timed twice: {', '.join(same)}")
    if untrained:
        which = "all models" if len(untrained) == len(models) else ", ".join(untrained)
        notes.append(
            f"random weights, {nc or suite.nc} classes: {which}; no accuracy, and hardly any detections to suppress "
            "from file to boxes"
        )
    two = [m for m in models if m.startswith(_TWO_HEADED)]
    if two:
        notes.append(f"with suppression, as Ultralytics runs them by default: {', '.join(two)}")
    return SuiteModels(name, models, untrained, notes)


def run_suite(
    suite: str,
    *,
    weights: str | Path | Mapping[str, str | Path] | None = None,
    nc: int | None = None,
    data: str | Path | None = None,
    out: str | Path | None = None,
    verbose: bool = True,
    **settings: Any,
) -> Any:
    """Measure a suite in one run.

    Args:
        suite: See :func:`suite_models`.
        weights: See :func:`suite_models`.
        nc: See :func:`suite_models`.
        data: Data YAML for accuracy; every model needs weights then.
        out: Folder for CSV, JSON and page.
        verbose: Print the tables.
        **settings: Whatever :func:`rsdet.deploy.benchmark.benchmark` takes besides the model.

    Returns:
        The result, see :class:`rsdet.deploy.records.BenchmarkResult`.

    Raises:
        ConfigError: Accuracy is asked for and a model has no weights; an argument that the benchmark does not know.
    """
    from rsdet.arguments import fit
    from rsdet.deploy.benchmark import benchmark
    from rsdet.deploy.hardware import slug, torch_device

    settings = fit(benchmark, settings, "benchmark", also=["model"])
    if data is not None:
        files = _files(suite, _suite(suite), weights)
        missing = [e.name for e in _suite(suite).entries if e.name not in files and e.same_as is None]
        if missing:
            raise ConfigError(
                f"suite={suite} with data= needs weights of every model, {', '.join(missing)} have none; put their "
                "files into the folder given as weights=, or leave data= out to measure speed."
            )
    ready = suite_models(suite, weights, nc)
    if ready.untrained:
        settings.setdefault("check", False)  # near-equal scores of random weights leave the choice to rounding
    settings.setdefault("details", out is not None)  # the page is written here, once its notes are complete
    result = benchmark(ready.models, data=data, verbose=False, **settings)
    result.notes[:0] = ready.notes
    result.settings["suite"] = suite
    if out is not None:
        precision = "fp16" if settings.get("half") else "fp32"
        stem = slug(torch_device(settings.get("device", "cpu")), precision, result.hardware["threads"])
        result.save(out, f"{suite}-{stem}")
    if verbose:
        result.print()
    return result


def _suite(name: str) -> Suite:
    if name not in SUITES:
        raise ConfigError(f"suite={name!r} is not known.{nearest(name, SUITES)} There are {', '.join(SUITES)}.")
    return SUITES[name]


def _files(name: str, suite: Suite, weights: str | Path | Mapping[str, str | Path] | None) -> dict[str, Path]:
    names = [e.name for e in suite.entries]
    if weights is None:
        return {}
    if isinstance(weights, Mapping):
        unknown = [n for n in weights if n not in names]
        if unknown:
            raise ConfigError(f"weights for {unknown[0]!r}: suite {name} has no such model, it has {', '.join(names)}.")
        files = {n: Path(p) for n, p in weights.items()}
        absent = [str(p) for p in files.values() if not p.is_file()]
        if absent:
            raise ConfigError(f"weights {absent[0]} do not exist; pass the path of a .pt or .safetensors file.")
        return files
    folder = Path(weights)
    if not folder.is_dir():
        raise ConfigError(f"weights={folder} is no folder; pass one with files such as {names[0]}.pt.")
    files = {n: p for n in names for s in reversed(_SUFFIXES) if (p := folder / f"{n}{s}").is_file()}
    if not files:
        raise ConfigError(
            f"{folder} holds no weights of suite {name}; name the files {names[0]}.pt, {names[1]}.pt, ..."
        )
    return files


def _load(file: Path) -> Any:
    from rsdet.model import RSDet

    return RSDet(str(file))


def _build(entry: Entry, nc: int) -> Any:
    import torch

    from rsdet.model import RSDet

    torch.manual_seed(0)
    wrapper = RSDet(entry.yaml, scale=entry.scale)
    made = wrapper.model
    if made.yaml["nc"] != nc:
        wrapper.model = type(made)({**made.yaml, "nc": nc}, ch=made.yaml.get("channels", 3), verbose=False)
        wrapper.model.args, wrapper.model.task = made.args, made.task
    return wrapper
