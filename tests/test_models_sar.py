"""The SAR ship detector, its ablations and its parts on other detectors: what they cost and what they are made of."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from rsdet import RSDet
from rsdet.cli import run
from rsdet.deploy.complexity import complexity
from rsdet.errors import ConfigError
from rsdet.losses.boxes import BOX_LOSSES
from rsdet.modelyaml import list_models, load_model_yaml, read_model_yaml
from rsdet.parts import ATTENTIONS, add_parts
from rsdet.tasks.detect.model import build

SHIPPED = [*list_models("sar-ship*", "detect"), *list_models("yolo*-sar-ship*")]


@cache
def cost(name: str, scale: str = "n", fused: bool = True, **values: str):
    model = build(load_model_yaml(name, scale, dict(values)), nc=1).eval()
    return complexity(model.fuse(verbose=False) if fused else model, imgsz=640)


@pytest.mark.parametrize(
    ("name", "scale", "gflops", "params_m"),
    [
        ("sar-ship.yaml", "n", 9.745, 6.43),
        ("sar-ship.yaml", "s", 34.6, 24.8),
        ("sar-ship.yaml", "m", 88.4, 61.8),
        ("sar-ship-ablate-base.yaml", "n", 7.06, 2.50),
        ("sar-ship-ablate-w.yaml", "n", 7.06, 2.50),
        ("sar-ship-ablate-s.yaml", "n", 7.06, 2.50),
        ("sar-ship-ablate-ws.yaml", "n", 7.06, 2.50),
        ("sar-ship-ablate-h.yaml", "n", 9.745, 6.43),
        ("sar-ship-ablate-wh.yaml", "n", 9.745, 6.43),
        ("sar-ship-ablate-sh.yaml", "n", 9.745, 6.43),
    ],
)
def test_costs_what_the_sheet_says(name, scale, gflops, params_m):
    found = cost(name, scale)
    assert found.gflops_legacy == pytest.approx(gflops, rel=0.01)
    assert found.params / 1e6 == pytest.approx(params_m, rel=0.01)


def test_with_batch_norms_too():
    assert cost("sar-ship.yaml", fused=False).gflops_legacy == pytest.approx(9.885, rel=0.01)


def test_the_head_costs_what_the_sheet_says():
    layers = cost("sar-ship.yaml").layers
    assert next(c.legacy for c in layers if c.index == 27) == pytest.approx(5.47, rel=0.01)


def test_all_eight_rows_of_the_tables_are_there():
    rows = {}
    for name in list_models("sar-ship*", "detect"):
        d = load_model_yaml(name)
        attention = any(r[2] == "ShuffleAttention" for r in d["head"])
        rows[d["iou_loss"], attention, d["head"][-1][2]] = name
    assert set(rows) == {(w, s, h) for w in ("ciou", "wiou-v3") for s in (True, False) for h in ("Detect", "SSCDetect")}


def test_rows_keep_the_numbers_of_yolov5():
    ours, stock = load_model_yaml("sar-ship.yaml"), load_model_yaml("yolov5.yaml")
    assert (ours["backbone"] + ours["head"])[:24] == (stock["backbone"] + stock["head"])[:24]
    mine, theirs = build(ours, nc=1).state_dict(), build({**stock, "scale": "n"}, nc=1).state_dict()
    same = [k for k, v in theirs.items() if k in mine and mine[k].shape == v.shape]
    assert all(k in same for k in theirs if int(k.split(".")[1]) < 24)


def test_parts_by_argument_are_the_shipped_model():
    by_argument = load_model_yaml("yolov5.yaml", "n", parts={"attention": "ShuffleAttention", "head": "SSCDetect"})
    shipped = load_model_yaml("sar-ship.yaml", "n")
    a, b = build(by_argument, nc=1), build(shipped, nc=1)
    assert [tuple(v.shape) for v in a.state_dict().values()] == [
        tuple(v.shape) for k, v in b.state_dict().items() if "iou_mean" not in k
    ]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_model_runs_at_odd_sizes(name):
    d = load_model_yaml(name)
    model = build({**d, "scales": {d["scale"]: [0.33, 0.0625, 1024]}}, nc=2).eval()
    with torch.no_grad():
        y = model(torch.zeros(1, 3, 160, 96))[0]
    assert y.shape == (1, 6, 20 * 12 + 10 * 6 + 5 * 3)
    assert y.isfinite().all()


@pytest.mark.parametrize("version", ["v8", "11", "26"])
@pytest.mark.parametrize("scale", ["n", "s", "m"])
def test_parts_on_other_yolos_in_three_scales(version, scale):
    with torch.device("meta"):
        d = load_model_yaml(f"yolo{version}-sar-ship.yaml", scale)
    assert d["scale"] == scale
    assert d["iou_loss"] == "wiou-v3"
    assert [r[2] for r in d["head"]][-4] == "ShuffleAttention"
    assert d["head"][-1][2] == "SSCDetect"
    finer, *levels, coarser = d["head"][-1][0]
    assert finer == 2
    assert len(levels) == 3
    assert coarser == len(d["backbone"]) + len(d["head"]) - 2
    rows, stock = d["backbone"] + d["head"], load_model_yaml(f"yolo{version}.yaml", scale)
    *fine, deepest = stock["head"][-1][0]
    assert levels == [*fine, coarser - 2]
    block = rows[deepest]
    assert rows[coarser - 2 : coarser + 1] == [
        [deepest, 1, "ShuffleAttention", []], [coarser - 2, 1, "Conv", [1024, 3, 2]], [coarser - 1, *block[1:]],
    ]  # fmt: skip


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_attention_on_any_detector(attention):
    pytest.importorskip("timm")
    for name in ("yolo11.yaml", "vmc-detr.yaml"):
        d = load_model_yaml(name, "n", parts={"attention": attention})
        at = len(d["backbone"]) + len(d["head"]) - 2
        assert d["head"][-2][2] == attention
        assert d["head"][-1][0].count(at) == 1
        assert len(d["head"][-1][0]) == 3


@pytest.mark.parametrize("attention", [*ATTENTIONS, "nn.Identity"])
def test_tables_6_and_7_by_the_variable_of_the_model(attention):
    pytest.importorskip("timm")
    model = RSDet("sar-ship.yaml", scale="t", attention=attention)
    assert type(model.model.model[24]).__name__ == attention.removeprefix("nn.")


def test_simple_head_by_argument_drops_the_level_made_for_the_other():
    model = RSDet("sar-ship.yaml", scale="t", head="Detect")
    assert len(model.model.model) == 26
    assert model.model.model[-1].f == [17, 20, 24]


@pytest.mark.parametrize(
    ("name", "parts", "message"),
    [
        ("yolo11.yaml", {"attention": "ShufleAttention"}, "did you mean"),
        ("yolo11.yaml", {"head": "Segment"}, "must be one of"),
        ("vmc-detr.yaml", {"head": "SSCDetect"}, "RTDETRDecoder"),
        ("yolov10n.yaml", {"head": "SSCDetect"}, "v10Detect"),
        ("yolov8-cls.yaml", {"attention": "SE"}, "several maps"),
        ("yolov8-p2.yaml", {"head": "SSCDetect"}, None),
    ],
)
def test_what_cannot_take_a_part_says_so(name, parts, message):
    if message is None:  # a level finer than P2 is there: the stem's
        assert load_model_yaml(name, "n", parts=parts)["head"][-1][0][0] == 0
        return
    with pytest.raises(ConfigError, match=f"(?i){message}"):
        load_model_yaml(name, "n", parts=parts)


def test_a_given_dictionary_is_not_changed():
    d = load_model_yaml("yolo11.yaml", "n")
    before = [list(map(str, r)) for r in d["head"]]
    add_parts(d, "SimAM", "SSCDetect")
    assert [list(map(str, r)) for r in d["head"]] == before


class TestBase:
    def test_says_only_what_differs(self, tmp_path):
        (tmp_path / "a.yaml").write_text("base: sar-ship.yaml\nfamily: yolo\nvars: {cls_width: 64}\nscale: s\n")
        d = read_model_yaml(tmp_path / "a.yaml")
        assert d["scale"] == "s"
        assert d["vars"] == {"attention": "ShuffleAttention", "cls_width": 64}
        assert len(d["head"]) == 18

    def test_beside_it(self, tmp_path):
        (tmp_path / "a.yaml").write_text("base: b.yaml\nfamily: yolo\nscale: s\n")
        (tmp_path / "b.yaml").write_text("base: sar-ship.yaml\nfamily: yolo\niou_loss: nwd\n")
        d = load_model_yaml(tmp_path / "a.yaml")
        assert (d["scale"], d["iou_loss"]) == ("s", "nwd")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("base: missing.yaml", "not found"),
            ("base: a.yaml", "leads back"),
            ("base: 5", "must be the name"),
            ("base: sar-ship.yaml\nparts: SSCDetect", "must be a mapping"),
            ("base: sar-ship.yaml\nparts: {neck: x}", "must be a mapping"),
            ("base: sar-ship.yaml\niou_loss: iuo", "must be one of"),
        ],
    )
    def test_wrong_yamls(self, tmp_path, monkeypatch, text, message):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "a.yaml").write_text(f"{text}\nfamily: yolo\n")
        with pytest.raises(ConfigError, match=message):
            RSDet("a.yaml")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_losses_are_known(name):
    assert load_model_yaml(name)["iou_loss"] in BOX_LOSSES


def test_command_line(capsys):
    assert run(["info", "model=yolo11.yaml", "scale=n", "attention=SimAM", "head=SSCDetect", "imgsz=64"]) == 0
    assert run(["info", "model=sar-ship.yaml", "scale=t", "attention=Shuffle"]) == 2
    assert run(["info", "model=vmc-detr.yaml", "scale=n", "head=SSCDetect"]) == 2
    assert "RTDETRDecoder" in capsys.readouterr().err
