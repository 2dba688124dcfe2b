"""The tiles of a scene on Ray: runs of them are dealt to workers, each of which opens the model and the scene once.

Ray schedules, starts again what dies and carries what is found; ``RAY_ADDRESS`` names its cluster, and without one a
local instance is started, which ends with this process. All paths must mean the same on all machines of it. The ledger
stays with the process that asked, so that a run is continued as any other, with Ray or without.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import ConfigError, DataError, RSDetError
from rsdet.scenes.found import Found
from rsdet.scenes.ledger import Unfinished
from rsdet.scenes.optional import optional
from rsdet.scenes.predictor import TilePredictor, opened_again
from rsdet.scenes.settings import SceneSettings
from rsdet.scenes.work import Batch, SceneWork

_TILES = 256  # of a run at most: what is lost with a worker that dies
_RUNS = 8  # for each worker at least, so that all end at about the same time
_STORE_BYTES = 200 << 20  # of a local instance; objects travel, pictures do not
_GOES_ON = "what is done is kept, and the same command goes on from there, with or without engine=ray"


def check_ray(predictor: TilePredictor) -> None:
    """Refuse what workers of Ray cannot do, before anything is begun.

    Raises:
        ConfigError: The model cannot be opened by another process.
        MissingDependencyError: Ray is not installed.
    """
    if predictor.again is None:
        raise _only_here(predictor.model)
    optional("ray.data", "ray")


def on_ray(work: SceneWork, missing: Sequence[range]) -> Iterator[Batch]:
    """Look at tiles as :meth:`SceneWork.detect` does, in as many processes as the settings say.

    Args:
        work: The scene.
        missing: Numbers of the tiles.

    Yields:
        Batches in any order that cover all of these numbers.

    Raises:
        Unfinished: A worker could not go on; what came in before has been handed over.
    """
    again, workers = work.predictor.again or {}, work.settings.workers
    data = optional("ray.data", "ray")
    tiles = sum(map(len, missing))
    if not tiles:
        return
    each = min(_TILES, max(work.predictor.batch, -(-tiles // (_RUNS * workers))))
    runs = [{"first": n, "last": min(n + each, gap.stop) - 1} for gap in missing for n in gap[::each]]
    ray = _joined(workers)
    data.DataContext.get_current().enable_progress_bars = False  # there is one of ours
    rows = data.from_items(runs, override_num_blocks=len(runs)).map_batches(
        _Worker,
        fn_constructor_args=(os.getcwd(), work.info.path, again, work.settings, work.values.to_dict(), work.identity),
        batch_size=1,
        compute=data.ActorPoolStrategy(size=min(workers, len(runs))),
        **_share(ray, workers, again),
    )
    try:
        for row in rows.iter_rows():
            yield _batch(row)
    except ray.exceptions.RayError as e:
        raise Unfinished(f"the workers of Ray could not go on ({_first_line(e)}); {_GOES_ON}.") from e


class _Worker:
    """What runs in a process of Ray: rows of first and last tile to a row for each batch of tiles.

    What a user can mend is told in a row: Ray would wrap an error in pages of its own.
    """

    def __init__(
        self,
        folder: str,
        path: Path,
        again: Mapping[str, Any],
        settings: SceneSettings,
        values: dict[str, Any],
        identity: dict[str, Any],
    ):
        self._folder, self._path, self._again = folder, path, again
        self._settings, self._values, self._identity = settings, values, identity
        self._work: SceneWork | None = None

    def __call__(self, rows: Mapping[str, np.ndarray]) -> Iterator[dict[str, list[Any]]]:
        try:
            self._work = self._work or self._opened()
            for first, last in zip(rows["first"].tolist(), rows["last"].tolist(), strict=True):
                for batch in self._work.detect([range(first, last + 1)]):
                    yield _row(batch)
        except RSDetError as e:
            yield _row(Batch(0, 0), problem=str(e))

    def _opened(self) -> SceneWork:
        """The scene, once it is sure that it and the model are those of the process that asked."""
        restarted, gpus = _standing()
        if restarted:  # else Ray would try for ever
            raise RSDetError(
                f"a worker of Ray has died, as a rule for want of memory; {_GOES_ON}; fewer workers= or a smaller "
                "batch= need less of it."
            )
        if Path(self._folder).is_dir():
            os.chdir(self._folder)  # relative paths mean here what they mean there
        again = self._again
        if gpus:  # the one that Ray has chosen, whatever device= said
            again = {**again, "given": {**again["given"], "device": None}}
        work = SceneWork(self._path, opened_again(again, self._settings.tile or 0), self._settings, self._values)
        mine = work.identity
        if mine["model"] != self._identity["model"]:
            raise _only_here(work.predictor.model)
        if mine != self._identity:
            raise DataError(
                f"{self._path}, or the file of aoi=, is another one for a worker of Ray; all machines must see the "
                "same files."
            )
        return work


def _standing() -> tuple[bool, Sequence[Any]]:
    """Whether this worker was started again after it had died, and the GPUs that Ray has given it."""
    ray = optional("ray", "ray")
    return ray.get_runtime_context().was_current_actor_reconstructed, ray.get_gpu_ids()


def _row(batch: Batch, problem: str = "") -> dict[str, list[Any]]:
    """A batch as one row of plain values."""
    return {
        "first": [batch.first],
        "last": [batch.last],
        "looked_at": [batch.looked_at],
        "full": [batch.full],
        "found": [Found.joined(list(batch.found.values())).to_bytes()],
        "unread": [json.dumps(list(batch.unread.items()))],
        "problem": [problem],
    }


def _batch(row: Mapping[str, Any]) -> Batch:
    if row["problem"]:
        raise Unfinished(row["problem"])
    found = Found.of_bytes(row["found"])
    return Batch(
        row["first"],
        row["last"],
        unread=dict(json.loads(row["unread"])),
        found={int(n): found.take(found.tiles == n) for n in np.unique(found.tiles)},
        looked_at=row["looked_at"],
        full=row["full"],
    )


def _joined(workers: int) -> Any:
    """Ray, connected to its cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent unasked
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ray = optional("ray", "ray")
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # who runs a scene is told by us
    if ray.is_initialized():
        return ray
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if "RAY_ADDRESS" in os.environ:
        try:
            ray.init(**quiet)
        except (ConnectionError, ValueError) as e:
            raise Unfinished(
                f"RAY_ADDRESS={os.environ['RAY_ADDRESS']} cannot be reached ({e}); start that cluster, or unset the "
                "variable for workers on this machine."
            ) from e
    else:
        cpus = max(os.cpu_count() or 1, workers)
        ray.init("local", num_cpus=cpus, object_store_memory=_STORE_BYTES, include_dashboard=False, **quiet)
    return ray


def _share(ray: Any, workers: int, again: Mapping[str, Any]) -> dict[str, float]:
    """What each worker is given of the machines: as many cores as all workers can have, and GPUs."""
    has = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores = [int(node.get("CPU", 0)) for node in has]
    each = max((n for n in range(1, max(cores) + 1) if sum(c // n for c in cores) >= workers), default=1)
    gpus = sum(node.get("GPU", 0) for node in has) if again["gpu"] else 0
    return {"num_cpus": each, "num_gpus": min(1.0, gpus / workers)}


def _only_here(model: str) -> ConfigError:
    return ConfigError(
        f"engine=ray opens the model in each worker, and {model} is not what a file holds; save it first and pass "
        "that file, or leave engine= out."
    )


def _first_line(e: BaseException) -> str:
    return f"{e}".strip().splitlines()[0]
