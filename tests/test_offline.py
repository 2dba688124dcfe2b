"""No network call that was not asked for: the whole way from training to export with sockets forbidden."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

SCRIPT = """
import json, socket, sys

calls = []

def forbidden(name):
    def refuse(*args, **kwargs):
        calls.append([name, repr(args)[:200]])
        raise OSError("network is forbidden in this test")
    return refuse

socket.getaddrinfo = forbidden("getaddrinfo")
socket.create_connection = forbidden("create_connection")
socket.socket.connect = forbidden("connect")
socket.socket.connect_ex = forbidden("connect_ex")
import subprocess
popen = subprocess.Popen.__init__
def no_pip(self, args, *a, **k):
    text = args if isinstance(args, str) else " ".join(map(str, args))
    if "pip" in text or "uv " in text or "curl" in text:
        calls.append(["subprocess", text[:200]])
    return popen(self, args, *a, **k)
subprocess.Popen.__init__ = no_pip

from rsdet import RSDet
from conftest import TINY, TRAIN

data, out, image = sys.argv[1:4]
model = RSDet("vmc-detr-demo.yaml", **TINY)
model.train(data=data, epochs=1, project=out, name="train", **{**TRAIN, "plots": True})
model.val(data=data, imgsz=96, project=out, name="val", plots=True)
model.predict(image, imgsz=96, conf=0.0, save=True, project=out, name="predict")
# A tiny model that has seen two batches: agreement is tested elsewhere, here only that nothing calls home.
import importlib.util
for format in ("onnx", "torchscript", *["openvino"] * bool(importlib.util.find_spec("openvino"))):
    made = model.export(format=format, imgsz=96, images=[image], box_tol_px=1e9, score_tol=1.0)
    RSDet(str(made)).predict(image, imgsz=96, conf=0.0, project=out, name=format)
print("CALLS", json.dumps(calls))
"""


def test_train_val_predict_and_export_never_touch_the_network(tiny_data, tmp_path):
    import os
    from pathlib import Path

    image = next((tiny_data.parent / "images" / "val").glob("*.jpg"))
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    env |= {"PYTHONPATH": str(Path(__file__).parent), "YOLO_CONFIG_DIR": str(tmp_path / "config")}
    script = tmp_path / "script.py"  # a file: Ultralytics' telemetry is off under pytest, and must be off here too
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(tiny_data), str(tmp_path / "out"), str(image)],
        capture_output=True, text=True, timeout=600, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    calls = json.loads(done.stdout.rsplit("CALLS", 1)[1])
    assert calls == []
    assert ".part" not in done.stdout + done.stderr  # where a file is being made is nobody's business


def test_telemetry_updates_and_run_time_pip_are_off():
    code = (
        "import rsdet, ultralytics.utils as u, ultralytics.utils.checks as c, ultralytics.utils.events as e, os\n"
        "print(u.ONLINE, c.ONLINE, c.AUTOINSTALL, e.events.enabled, 'YOLO_OFFLINE' in os.environ)"
    )
    for first in ("", "import ultralytics.utils.events; "):
        done = subprocess.run([sys.executable, "-c", first + code], capture_output=True, text=True, timeout=600)
        assert done.stdout.split()[-5:] == ["False"] * 5, done.stdout + done.stderr[-1000:]


def test_the_log_is_back_after_two_that_hushed_it_cross():
    from rsdet.quiet import hushed

    logger = logging.getLogger("ultralytics")
    before = logger.level
    first, second = hushed(), hushed(logging.ERROR)
    first.__enter__()
    second.__enter__()
    assert logger.level == logging.ERROR
    first.__exit__(None, None, None)  # as two exports in threads may end
    second.__exit__(None, None, None)
    assert logger.level == before
