"""OpenVINO computes in FP32 through Ultralytics' backend too, whatever the processor would rather do."""

from __future__ import annotations

import numpy as np
import pytest

from rsdet import RSDet


def test_predict_and_val_run_openvino_in_full_precision(tiny_weights, tmp_path):
    ov = pytest.importorskip("openvino")
    loose = dict(box_tol_px=1e9, score_tol=1.0)  # it has seen a few batches: its scores are nearly equal
    made = RSDet(tiny_weights).export(format="openvino", imgsz=96, out=tmp_path, verbose=False, **loose)
    stock = ov.Core
    model = RSDet(str(made.path))
    model.predict(np.full((96, 96, 3), 90, np.uint8), imgsz=96, save=False, verbose=False)
    compiled = model.predictor.model.backend.ov_compiled_model
    assert compiled.get_property("INFERENCE_PRECISION_HINT") == ov.Type.f32
    assert ov.Core is stock  # the name is put back
