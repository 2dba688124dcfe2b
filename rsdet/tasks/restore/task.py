"""The task ``restore``: pictures in, better pictures out (dehazing, super-resolution, cloud removal)."""

from __future__ import annotations

from typing import Any

from rsdet.tasks.task import Task


class Restore(Task):
    """Pictures to pictures: networks, methods without weights, and methods that optimise on each picture."""

    name = "restore"
    about = "better pictures: dehazing, super-resolution, cloud removal"
    families = ("restore", "classical", "per-image")
    imgsz = 256

    def classes(self, family: str) -> dict[str, Any]:
        """Model, trainer, validator and predictor of a family."""
        from rsdet.tasks.restore.predict import RestorePredict
        from rsdet.tasks.restore.val import RestoreVal

        both = {"validator": RestoreVal, "predictor": RestorePredict}
        if family != "restore":
            from rsdet.tasks.restore.methods import RestoreMethod

            return {"model": RestoreMethod, **both}
        from rsdet.tasks.restore.model import RestoreModel
        from rsdet.tasks.restore.train import RestoreTrain

        return {"model": RestoreModel, "trainer": RestoreTrain, **both}

    def outcome(self, images: int, items: int) -> str:
        """Say how many pictures were restored."""
        return f"{images} picture{'s' * (images != 1)} restored"


TASK = Restore()
