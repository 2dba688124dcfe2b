"""Keys of an export: common ones and those of the task, explained, checked, and of no other task."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest

from rsdet import tasks
from rsdet.deploy.parity import compare_outputs
from rsdet.deploy.settings import ExportSettings
from rsdet.deploy.verify import Run


@pytest.mark.parametrize("cls", [ExportSettings, *(tasks.get(n).export_options for n in tasks.names())])
def test_every_key_is_explained(cls):
    said = {line.strip().partition(":")[0] for c in cls.__mro__ for line in (c.__doc__ or "").splitlines()}
    assert {f.name for f in fields(cls)} <= said


def test_keys_are_known_without_anything_heavy():
    code = (
        "import sys, rsdet.deploy.settings; from rsdet import tasks;"
        "[tasks.get(n).export_options for n in tasks.names()];"
        "sys.exit(any(m in sys.modules for m in ('torch', 'ultralytics', 'cv2')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _run(expected, got):
    return Run([None], (4, 4), np.zeros((1, 3, 4, 4), np.float32), tuple(expected), tuple(got))


def test_all_outputs_of_a_task_that_knows_no_better_are_compared():
    rng = np.random.default_rng(0)
    one, two = rng.random((1, 5, 4), dtype=np.float32), 1e-3 * rng.random((1, 2, 2), dtype=np.float32)
    assert compare_outputs([_run([one, two], [one, two])]).ok
    off = two.copy()
    off[0, 0, 0] += 1e-4  # a tenth of what that output ever is, though little beside the other
    report = compare_outputs([_run([one, two], [one, two]), _run([one, two], [one, off])])
    assert not report.ok
    assert "FAILED" in report.summary()
    assert not compare_outputs([_run([one], [one * np.nan])]).ok


def test_one_number_everywhere_shows_nothing():
    same = np.full((1, 1, 4, 4), 0.5, np.float32)
    report = compare_outputs([_run([same], [same])])
    assert report.vacuous
    assert "not shown" in report.summary()
