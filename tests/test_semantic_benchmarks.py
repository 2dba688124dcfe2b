"""The experiments on maps of classes: nothing of the test is trained on, no run is lost, tables say what rows say."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from rsdet.losses import semi_settings

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
if not (BENCHMARKS / "mars_terrain.py").is_file():
    pytest.skip("benchmarks/ is not part of this copy", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))  # they import each other
try:
    import landslides
    import landslides_table
    import mars_table
    import mars_terrain
    import rows
finally:
    sys.path.remove(str(BENCHMARKS))


def row(method: str, seed: int, miou: float, share: float = 0.2) -> dict:
    iou = dict.fromkeys(mars_terrain.CLASSES.values(), miou)
    return {
        "method": method, "labeled": share, "seed": seed, "miou": miou, "macc": miou, "accuracy": miou, "iou": iou,
        "train_seconds": 10, "labelled_loss": 0.5,
    }  # fmt: skip


def test_no_site_is_in_training_and_test():
    pictures = [Path(f"NLB_{i:09}EDR_F{i // 3:03}{i:04}NCAM00424M1.jpg") for i in range(150)]
    train, test = mars_terrain.sites(pictures[::-1])
    assert sorted(train + test) == pictures
    assert 45 <= len(test) <= 50
    assert not {p.name[18:21] for p in train} & {p.name[18:21] for p in test}
    assert (train, test) == mars_terrain.sites(pictures)  # whatever order the folder is listed in


def test_a_finished_run_is_not_repeated_one_of_other_settings_is(tmp_path):
    file, runs = tmp_path / "rows" / "a.json", []

    def run() -> dict:
        runs.append(1)
        return {"miou": len(runs)}

    for settings, value in (({"maps": (1, 2)}, 1), ({"maps": (1, 2)}, 1), ({"maps": (1, 3)}, 2)):
        assert rows.once(file, settings, run)["miou"] == value
    assert [r["miou"] for r in rows.rows_in(file.parent)] == [2]


def test_a_run_that_failed_leaves_no_row(tmp_path):
    def run() -> dict:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rows.once(tmp_path / "rows" / "a.json", {}, run)
    assert rows.rows_in(tmp_path / "rows") == []


def test_every_ablation_takes_one_part_away_and_all_have_one_momentum(monkeypatch):
    methods = dict(semi_settings.METHODS)
    monkeypatch.setattr(semi_settings, "METHODS", methods)
    mars_terrain.register(0.9)
    whole = vars(methods["s5mars"])
    changed = {
        name: [k for k, v in vars(methods[name]).items() if v != whole[k]] for name in mars_terrain.ABLATED
    }  # fmt: skip
    assert changed == {
        "s5mars-without-augin": ["appearance"], "s5mars-without-mix": ["mix"], "s5mars-hard-only": ["t_soft"],
        "s5mars-soft-only": ["t_hard"], "s5mars-strict": ["t_hard", "t_soft"], "s5mars-light": ["lambda_u"],
        "s5mars-components": [],
    }  # fmt: skip
    assert {methods[m].momentum for m in (*mars_terrain.COMPARED, *mars_terrain.ABLATED)} == {0.9}


def test_full_tables_come_first():
    args = argparse.Namespace(seeds=[0, 1], only=None)
    plan = mars_terrain.plan(args)
    compared = 2 * len(mars_terrain.COMPARED)
    assert len(plan) == len(set(plan)) == 2 * (compared + len(mars_terrain.ABLATED))
    assert {run[2] for run in plan[:compared]} == {0}
    assert plan[2 * compared][0] in mars_terrain.ABLATED


def test_the_table_tells_mean_spread_and_who_wins():
    of_two = [row("supervised", 0, 0.30), row("supervised", 1, 0.40), row("s5mars", 0, 0.40), row("s5mars", 1, 0.38)]
    lines = mars_table.table(of_two, ["supervised", "s5mars", "unimatch"], 0.2)
    assert len(lines) == 4
    assert "| S5Mars | 2 | 39.00 ± 1.41 |" in lines[3]
    said = "\n".join(mars_table.verdict(of_two, ["supervised", "s5mars"], 0.2, "supervised"))
    assert "**S5Mars**, 39.00 %" in said
    fewer = mars_table.verdict(of_two[:3], ["supervised", "s5mars"], 0.2, "supervised")
    assert "39" not in fewer[0]
    assert "+10.00" in fewer[-1]
    assert "+4.00 points (by seed +10.00, -2.00); the seeds disagree" in said


def test_a_network_is_compared_on_the_seeds_that_both_have():
    runs = (("unet", 0, 0.5), ("hybrid", 0, 0.4), ("hybrid", 1, 0.9), ("unet", 1, 0.5))
    found = [{"set": "bijie", "model": m, "seed": s, "iou": v} for m, s, v in runs]
    best, _, line = landslides_table.verdict(found, "bijie", landslides.NAMES, "unet")
    assert "65.00 %" in best
    assert "+15.00 points (by seed -10.00, +40.00); the seeds disagree" in line
    best, _, line = landslides_table.verdict(found[:3], "bijie", landslides.NAMES, "unet")
    assert "65" not in best
    assert "-10.00 points (by seed -10.00)" in line


def test_yellow_masks_become_class_numbers_of_their_picture_s_size(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "set" / kind).mkdir(parents=True)
    for i in range(10):
        mask = np.zeros((60, 100, 3), np.uint8)
        mask[:30, :50] = (0, 255, 255)  # yellow, as OpenCV has it
        cv2.imwrite(str(tmp_path / "set" / "masks" / f"{i}.png"), mask)
        cv2.imwrite(str(tmp_path / "set" / "images" / f"{i}.png"), rng.integers(0, 255, mask.shape, np.uint8))
    args = argparse.Namespace(work=tmp_path / "work", pictures=tmp_path / "set", side=16)
    folder = landslides.bijie(args).parent
    masks = {s: sorted((folder / "masks" / s).iterdir()) for s in ("train", "test")}
    assert len(masks["test"]) == 8
    assert len(masks["train"]) == 2 * landslides.COPIES
    assert not {p.name[0] for p in masks["test"]} & {p.name[0] for p in masks["train"]}
    mask = cv2.imread(str(masks["test"][0]), cv2.IMREAD_UNCHANGED)
    assert mask.shape == cv2.imread(str(folder / "images" / "test" / masks["test"][0].name)).shape[:2] == (19, 32)
    assert set(np.unique(mask)) == {0, 1}
    assert mask[0, 0] == 1
    assert abs(mask.mean() - 0.25) < 0.03
