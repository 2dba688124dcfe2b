"""The tasks by name: what each brings, imported on use."""

from __future__ import annotations

from typing import Any

TASKS = ("detect", "restore")


def task_map(task: str, family: str) -> dict[str, dict[str, Any]]:
    """Classes of each task for a family, in the form of Ultralytics' ``Model.task_map``."""
    if task == "restore":
        from rsdet.tasks import restore

        return {"restore": restore.task_map(family)}
    from rsdet.tasks import detect

    return {"detect": detect.task_map(family)}


def build(cfg: dict[str, Any]) -> Any:
    """Build the network of any task from a resolved model YAML."""
    if cfg.get("task") == "restore":
        from rsdet.tasks.restore.model import build as build_restorer

        return build_restorer(cfg)
    from rsdet.tasks.detect.model import build as build_detector

    return build_detector(cfg, ch=cfg.get("channels", 3))
