"""Store what aitodpycocotools, the evaluator of AI-TOD, says of the scenes that make.py writes.

It is on no package index. What wrote reference_aitodpycocotools.json, with Python 3.11::

    git clone https://github.com/jwwangchn/cocoapi-aitod
    git -C cocoapi-aitod checkout 44a230ae5197cb89bf9e5e62f313cac3ad30c7af
    cd cocoapi-aitod/aitodpycocotools
    pip install numpy==1.23.5 'cython<3' 'matplotlib<3.8' 'setuptools<70'
    python setup.py build_ext --inplace
    PYTHONPATH=. python .../tests/data/metrics/make_aitod.py
"""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

from aitodpycocotools.coco import COCO
from aitodpycocotools.cocoeval import COCOeval

HERE = Path(__file__).parent
# Its summary: AP (three sizes of IoU and more), AP by area, AR by cap, AR by area; what follows are not AP and AR.
NAMES = (
    "ap", "ap25", "ap50", "ap75", "ap_vt", "ap_t", "ap_s", "ap_m", "ar_1", "ar_100", "ar_1500", "ar_vt", "ar_t", "ar_s",
    "ar_m",
)  # fmt: skip


def main() -> None:
    found = {}
    for scene in ("", "edges_"):
        with contextlib.redirect_stdout(io.StringIO()):
            gt = COCO(str(HERE / f"{scene}truth.json"))
            dt = gt.loadRes(json.loads((HERE / f"{scene}detections.json").read_text()))
            run = COCOeval(gt, dt, "bbox")
            run.evaluate()
            run.accumulate()
            run.summarize()
        numbers = dict(zip(NAMES, run.stats.tolist(), strict=False))
        found[scene] = {k: v for k, v in numbers.items() if k != "ap25"}  # not among its ten IoU thresholds
    (HERE / "reference_aitodpycocotools.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
