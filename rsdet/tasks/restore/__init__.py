"""The task ``restore``: pictures in, better pictures out (dehazing, super-resolution, cloud removal)."""

from __future__ import annotations

from typing import Any


def task_map(family: str) -> dict[str, Any]:
    """Model, trainer, validator and predictor of a family, imported on use.

    Args:
        family: ``"restore"`` (a network), ``"classical"`` (a method without weights) or ``"per-image"`` (a method that
            optimises on each picture).
    """
    from rsdet.tasks.restore.predict import RestorePredict
    from rsdet.tasks.restore.val import RestoreVal

    both = {"validator": RestoreVal, "predictor": RestorePredict}
    if family != "restore":
        from rsdet.tasks.restore.methods import RestoreMethod

        return {"model": RestoreMethod, **both}
    from rsdet.tasks.restore.model import RestoreModel
    from rsdet.tasks.restore.train import RestoreTrain

    return {"model": RestoreModel, "trainer": RestoreTrain, **both}
