"""Groups of images (inshore, offshore) are measured apart, and what is wrong with their lists is said."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from pathlib import Path

import pytest
import yaml

from rsdet import RSDet
from rsdet.cli import run as cli
from rsdet.data.groups import read_groups
from rsdet.errors import DataError


@pytest.fixture
def grouped(tiny_data, tmp_path):
    """The tiny data with the first two validation images near the shore, and the third off it; the last in no group."""
    root = tmp_path / "data"
    shutil.copytree(tiny_data.parent, root, ignore=shutil.ignore_patterns("*.cache"))
    images = sorted((root / "images/val").iterdir())
    (root / "groups").mkdir()
    (root / "groups/inshore.txt").write_text("# a remark\n" + "\n".join(p.name for p in images[:2]))
    (root / "groups/offshore.txt").write_text(f"{images[2].stem}\nof_another_split\n\n")
    data = yaml.safe_load(tiny_data.read_text())
    data.update(path=str(root), groups={"inshore": "groups/inshore.txt", "offshore": "groups/offshore.txt"})
    (root / "demo.yaml").write_text(yaml.safe_dump(data))
    return root / "demo.yaml"


def change(path: Path, **keys) -> Path:
    data = yaml.safe_load(path.read_text()) | keys
    other = path.with_name("changed.yaml")
    other.write_text(yaml.safe_dump({k: v for k, v in data.items() if v is not None}))
    return other


def val(weights, data, tmp_path, name="val", **kwargs):
    where = dict(project=str(tmp_path), name=name, exist_ok=True)
    return RSDet(weights).val(data=data, imgsz=96, batch=1, conf=0.001, plots=False, **where, **kwargs)


def numbers(metrics):
    return {k: v for k, v in metrics.to_dict().items() if k != "groups"}


def test_each_group_has_the_numbers_of_a_run_on_its_images_alone(tiny_weights, grouped, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "ultralytics"):
        metrics = val(tiny_weights, grouped, tmp_path)
    assert {name: m.n_images for name, m in metrics.group_metrics.items()} == {"inshore": 2, "offshore": 1}
    assert metrics.protocol_metrics.n_images == 4
    assert "1 of 4 images are in no group and count in the whole only" in caplog.text
    root = grouped.parent
    images = sorted((root / "images/val").iterdir())
    for group, members in (("inshore", images[:2]), ("offshore", images[2:3])):
        (root / "alone.txt").write_text("".join(f"{p}\n" for p in members))
        alone = val(tiny_weights, change(grouped, val="alone.txt", groups=None), tmp_path, "alone")
        assert alone.group_metrics == {}
        assert alone.protocol_metrics.n_detections > 0
        assert numbers(alone.protocol_metrics) == numbers(metrics.group_metrics[group])
    plain = val(tiny_weights, change(grouped, groups=None), tmp_path, "plain")
    assert numbers(plain.protocol_metrics) == numbers(metrics.protocol_metrics)  # the whole does not change


def test_groups_are_on_disk_and_in_the_table(tiny_weights, grouped, tmp_path, capsys):
    metrics = val(tiny_weights, grouped, tmp_path, protocol="aitod")
    out = capsys.readouterr().out
    assert "protocol=aitod: per group of images" in out
    rows = [line.split() for line in out.splitlines() if line.strip().startswith(("(all)", "inshore", "offshore"))]
    assert [row[:2] for row in rows] == [["(all)", "4"], ["inshore", "2"], ["offshore", "1"]]
    assert rows[1][2] == str(metrics.group_metrics["inshore"].n_boxes)
    assert {len(row) for row in rows} == {11}  # AP, AP50, AP75, four sizes and AR, none folded at 80 characters
    saved = json.loads((tmp_path / "val/metrics-aitod.json").read_text())
    assert saved["groups"]["offshore"]["ap50"] == metrics.group_metrics["offshore"].ap50
    with (tmp_path / "val/metrics-aitod.csv").open(newline="") as f:
        found = {row["group"] for row in csv.DictReader(f)}
    assert found == {"", "inshore", "offshore"}


def test_a_group_without_objects_is_no_crash(tiny_weights, grouped, tmp_path, capsys):
    image = sorted((grouped.parent / "images/val").iterdir())[2]
    (grouped.parent / "labels/val" / f"{image.stem}.txt").write_text("")
    metrics = val(tiny_weights, grouped, tmp_path)
    empty = metrics.group_metrics["offshore"]
    assert (empty.n_images, empty.n_boxes, empty.ap, empty.ap50) == (1, 0, None, None)
    row = next(line for line in capsys.readouterr().out.splitlines() if "offshore" in line)
    assert row.split()[1:5] == ["1", "0", "n/a", "n/a"]
    assert json.loads((tmp_path / "val/metrics-coco.json").read_text())["groups"]["offshore"]["ap"] is None


def test_a_list_of_another_split_is_said(tiny_weights, grouped, tmp_path, caplog):
    metrics = val(tiny_weights, grouped, tmp_path, split="train")
    assert metrics.group_metrics == {}
    assert "group 'inshore' names none of the 8 images of this split; check its list groups/inshore.txt" in caplog.text
    assert "group 'offshore' names none" in caplog.text


def test_without_a_protocol_of_ours_groups_are_not_measured(tiny_weights, grouped, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "ultralytics"):
        metrics = val(tiny_weights, grouped, tmp_path, protocol="ultralytics")
    assert metrics.group_metrics == {}
    assert "groups (inshore, offshore) are measured under a protocol of rsdet only" in caplog.text


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ({"inshore": "groups/gone.txt"}, "gone.txt, the list of group 'inshore', cannot be read"),
        ({"inshore": "groups"}, "the list of group 'inshore', cannot be read"),
        (["inshore"], "must map names to text files; write groups: {inshore: groups/inshore.txt}"),
        ({"inshore": ["a.jpg"]}, "must map names to text files"),
        ({"inshore": None}, "must map names to text files"),
    ],
)
def test_wrong_groups_are_answered_in_one_line_before_the_run(tiny_weights, grouped, tmp_path, capsys, groups, says):
    data = change(grouped, groups=groups)
    words = [f"model={tiny_weights}", f"data={data}", "imgsz=96", f"project={tmp_path}", "name=cli", "plots=false"]
    assert cli(["val", *words]) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert says in err[-1]
    assert "Traceback" not in "".join(err)
    assert not (tmp_path / "cli/metrics-coco.json").exists()


def test_reading_lists(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffx/one.JPG\r\n# two\n three \nfour.v2\n".encode())
    assert read_groups({"path": tmp_path, "groups": {"g": "a.txt"}}) == {"g": {"one", "three", "four.v2"}}
    assert read_groups({"groups": {"g": str(tmp_path / "a.txt")}}, "/elsewhere")["g"]
    assert read_groups({}) == read_groups({"groups": None}) == {}
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="no UTF-8 text"):
        read_groups({"groups": {"g": "b.txt"}}, tmp_path)
