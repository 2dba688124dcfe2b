"""A network over a scene: neither how many tiles it gets at once nor its threads change what is found."""

from __future__ import annotations

from pathlib import Path

import blobs
import numpy as np
import pytest
import torch

from rsdet import RSDet
from rsdet.data.scenes import render_scene
from rsdet.tasks.detect.parity import compare

pytest.importorskip("rasterio", reason="scenes are read with rasterio (extra geo)")


def test_batch_and_threads_change_no_object(tmp_path: Path) -> None:
    pictures = [render_scene(i, (240, 240)).image for i in range(4)]
    picture = np.concatenate([np.concatenate(pictures[i : i + 2], 1) for i in (0, 2)])
    scene = blobs.write_scene(tmp_path / "aerial.tif", picture)
    keys = {"tile": 320, "layers": "coco", "crops": 0, "quicklook": False, "device": "cpu", "verbose": False}
    usual, rows = torch.get_num_threads(), []
    try:
        for batch, threads in ((1, 1), (4, 1), (4, 3)):
            torch.set_num_threads(threads)
            (result,) = RSDet("vmc-detr-demo").predict(scene, project=tmp_path, batch=batch, **keys)
            found = result.found
            rows.append(np.column_stack([found.boxes_xyxy, found.scores, found.classes]))
    finally:
        torch.set_num_threads(usual)
    for other in rows[1:]:
        report = compare(rows[:1], [other], box_tol_px=0.01, score_tol=1e-4, conf=0.25)
        assert report.ok, report.summary()
        assert report.matched > 50
