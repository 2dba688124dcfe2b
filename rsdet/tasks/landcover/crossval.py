"""``rsdet crossval``: one training a fold and a seed, each measured on ground of its own; mean and spread of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.cubes.dataset import cube_data
from rsdet.data.cubes.opening import files_of_map
from rsdet.errors import ConfigError, RSDetError
from rsdet.filestate import file_state
from rsdet.metrics.landcover import MEASURES, spread
from rsdet.modelyaml import find_model_yaml
from rsdet.modes._model import open_model
from rsdet.modes.mode import say
from rsdet.names import csv_cell
from rsdet.scenes.folder import finish, scene_folder
from rsdet.tasks.landcover.data import BLOCK_PX, FOLDS, choice_of
from rsdet.textfiles import read_json
from rsdet.writing import write_csv

TABLE = "crossval.csv"
DONE = Path("val", "metrics.json")  # below the folder of a run, written last


@dataclass
class CrossValidation:
    """Accuracies of several trainings.

    Attributes:
        runs: A row a run and method: ``run``, ``method``, :data:`MEASURES` and each class by name, parts of 1.
        save_dir: Folder of all runs, with ``crossval.csv``.
    """

    runs: list[dict[str, Any]] = field(default_factory=list)
    save_dir: Path = Path()

    def values(self, method: str, what: str) -> np.ndarray:
        """(runs,) of a measure or a class; runs whose test pixels have none of the class are left out."""
        found = [row[what] for row in self.runs if row["method"] == method]
        return np.array([v for v in found if v is not None], np.float64)

    def table(self) -> str:
        """Mean and standard deviation in percent, methods beside one another."""
        methods = list(dict.fromkeys(row["method"] for row in self.runs))
        rows = [k for k in self.runs[0] if k not in ("run", "method")]
        cells = [["", *methods]] + [[r, *(self._cell(m, r) for m in methods)] for r in rows]
        wide = [max(len(line[i]) for line in cells) + 2 for i in range(len(cells[0]))]
        return "\n".join(line[0].ljust(wide[0]) + "".join(map(str.rjust, line[1:], wide[1:])) for line in cells)

    def _cell(self, method: str, what: str) -> str:
        values = self.values(method, what)
        return spread(values) if len(values) else "-"


def crossval(
    model: str | Path,
    data: str | Path,
    split_by: str = "blocked",
    folds: int = FOLDS,
    block_px: int = BLOCK_PX,
    seeds: Sequence[int] = (0,),
    baselines: str | Sequence[str] = ("svm", "forest"),
    project: str | Path = "runs/landcover",
    name: str = "crossval",
    **settings: Any,
) -> CrossValidation:
    """Train and measure a network for land cover once a fold and a seed; an interrupted one goes on, run by run.

    Args:
        model: Model YAML.
        data: Data YAML, or the name of a shipped scene.
        split_by: ``blocked``, each block of ground tested once; or ``random`` or ``disjoint``, once a seed.
        folds: How many parts the blocks are divided among.
        block_px: Side of the blocks in pixels.
        seeds: Of the network, and of the pixels or blocks that are drawn; several, for the spread.
        baselines: Measured beside the network, as in ``val``.
        project: Folder of all runs.
        name: Name of the folder that is made there.
        **settings: Any key of ``train``, and of the model YAML.

    Returns:
        All accuracies.

    Raises:
        ConfigError: A value out of its range, or a key that is set here.
        DataError: A fold that cannot be learnt or measured.
    """
    if taken := sorted({"fold", "seed", "split_seed", "resume", "exist_ok"} & settings.keys()):
        raise ConfigError(f"{taken[0]}= is set by crossval itself; leave it out, seeds= and folds= say which runs.")
    seeds = list(dict.fromkeys(seeds))
    if not seeds:
        raise ConfigError("seeds= names none; give one or more, such as seeds=0,1,2.")
    split = {"split_by": split_by} | ({"folds": folds, "block_px": block_px} if split_by == "blocked" else {})
    choice_of(split)
    facts = {
        "model": model, "data": data, **split, "seeds": seeds, "baselines": baselines, **settings,
        "files": _state(model, data, settings.get("lidar") is not False),
    }  # fmt: skip
    folder, continued = scene_folder(Path(project).absolute(), name, {k: str(v) for k, v in facts.items()})
    if continued:
        say(f"an unfinished cross-validation of the same settings lies in {folder} and is continued.")
    parts = [{"fold": k} for k in range(folds)] if split_by == "blocked" else [{}]
    runs = {f"seed{s}" + "".join(f"-fold{k}" for k in p.values()): {"seed": s, **p} for s in seeds for p in parts}
    result = CrossValidation(save_dir=folder)
    for number, (run, own) in enumerate(runs.items(), 1):
        if not (folder / run / DONE).is_file():
            say(f"run {number}/{len(runs)}: {run}")
            given = {"model": str(model), **settings, **split, **own, "split_seed": own["seed"]}
            try:
                opened = open_model(given)
                opened.train(data=data, project=str(folder), name=run, exist_ok=True, **given)
            except RSDetError:
                if not result.runs:
                    finish(folder)  # nothing to go on with: other settings are a run of their own
                raise
            best = type(opened)(folder / run / "weights" / "best.pt")
            best.val(
                data=data, baselines=baselines, plots=False, project=str(folder / run), name=DONE.parent.name,
                exist_ok=True, **{k: v for k, v in given.items() if k in ("seed", "device")},
            )  # fmt: skip
        result.runs += _rows(run, folder / run / DONE)
    write_csv(folder / TABLE, list(result.runs[0]), result.runs)
    finish(folder)
    say(f"{result.table()}\npercent of the test pixels: mean and standard deviation of {len(runs)} runs, {folder}")
    return result


def _state(model: str | Path, data: str | Path, lidar: bool) -> list[Any]:
    """What changes when the network, the scene or its maps do."""
    scene = cube_data(data, "landcover")
    maps = {path for source in scene.maps.values() for path in files_of_map(source.path)}
    with scene.open(lidar) as opened:
        read = {path for raster in (opened.cube, *opened.lidar) for path in raster.files}
    return file_state([*filter(None, [find_model_yaml(str(model))]), *sorted({scene.path, *maps, *read})])


def _rows(run: str, file: Path) -> list[dict[str, Any]]:
    """Rows of a run that is done."""
    return [
        {"run": run, "method": method, **{k: found[k] for k in MEASURES},
         **{csv_cell(str(c["class"])): c["acc"] for c in found["classes"]}}
        for method, found in read_json(file)["methods"].items()
    ]  # fmt: skip
