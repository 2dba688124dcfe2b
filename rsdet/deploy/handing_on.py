"""Exports that nobody has compared with the network: Ultralytics makes them, and their names say so.

Nothing about them is known to be right, so nothing of ours is written into them but that it is not proved. What the
exporters would install or fetch meanwhile is named instead.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from rsdet.deploy.exporter import quiet, run_exporter
from rsdet.deploy.job import Job
from rsdet.deploy.runners import first_line
from rsdet.errors import ConfigError, ExportError, RSDetError
from rsdet.quiet import nothing_fetched, say
from rsdet.writing import put, size_mb, workplace


def hand_on(job: Job, folder: Path, stem: str) -> tuple[Path, float, float]:
    """Let Ultralytics make an artifact.

    Args:
        job: What is exported, and how.
        folder: Where it shall lie.
        stem: Its name without suffix; it says that nothing was proved.

    Returns:
        The artifact, its size in MB (10^6 bytes), and the seconds it took.

    Raises:
        ConfigError: The network has several inputs.
        MissingDependencyError: A package is not installed; nothing is.
        ExportError: The exporter failed; nothing was written.
    """
    begin, s = time.perf_counter(), job.settings
    if job.parts:
        raise ConfigError(f"unchecked=True with task={job.task.name}, a network of several graphs; use format=onnx")
    said = {**s.exporter_settings(job.device), **job.task.exporter_settings(job.module, s)}
    if s.data is not None:  # read by Ultralytics itself
        said["data"] = str(job.task.resolve_data(s.data))
    with workplace(folder, stem) as place, quiet(s.verbose), nothing_fetched(f"format={s.format}"):
        try:
            made = run_exporter(job.model, job.module, said, place, stem, proved=False)
        except (RSDetError, ModuleNotFoundError):
            raise
        except Exception as e:  # of whatever kind the compilers of others raise
            raise ExportError(f"Ultralytics' export to {s.format} failed ({first_line(e)}); see what it needs") from e
        if not made.exists() or not made.name.startswith(stem):
            raise ExportError(f"Ultralytics' export to {s.format} has left no file; see its log above")
        made = put(made, folder / made.name)
    say(f"{made.name} is not proved: nobody has compared it with the model; try it where it will run.", logging.WARNING)
    return made, size_mb(made), time.perf_counter() - begin
