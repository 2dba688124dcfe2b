"""The seam into Ultralytics' parser: what it promises, and a failure by name when a release moves it."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from ultralytics.nn import tasks
from ultralytics.nn.modules import C2f, Conv

from rsdet.errors import ConfigError
from rsdet.modelyaml import find_model_yaml, list_models, load_model_yaml, resolve
from rsdet.registry import Row, building, list_modules, parse_model, register, scaled
from rsdet.tasks.detect.model import YOLOModel, build


@register("_TwinC2f", like="C2f")
class TwinC2f(C2f):
    pass


@register("_TwinConv", like="Conv")
class TwinConv(Conv):
    pass


@register("_Keep", like="same")
class Keep(nn.Module):
    def __init__(self, c1: int):
        super().__init__()
        self.c1 = c1

    def forward(self, x):
        return x


@register("_Cat", like="concat")
class Cat(nn.Module):
    def __init__(self, ch: list[int]):
        super().__init__()
        self.ch = ch

    def forward(self, x):
        return torch.cat(x, 1)


@register("_Double", channels=lambda row: ([row.ch[0]], 2 * row.ch[0]))
class Double(nn.Module):
    def __init__(self, c1: int):
        super().__init__()

    def forward(self, x):
        return torch.cat([x, x], 1)


def _yolo(conv: str, c2f: str, extra: list | None = None, n: int = 3) -> dict:
    backbone = [
        [-1, 1, conv, [64, 3, 2]],
        [-1, 1, conv, [128, 3, 2]],
        [-1, n, c2f, [128, True]],
        [-1, 2, conv, [256, 3, 2]],
        [-1, 1, conv, [512, 3, 2]],
        *(extra or []),
    ]
    return {
        "task": "detect",
        "family": "yolo",
        "nc": 3,
        "scales": {"n": [0.34, 0.25, 256], "s": [0.67, 0.5, 1024]},
        "scale": "n",
        "backbone": backbone,
        "head": [[[2, -1], 1, "Detect", ["nc"]]],
    }


@pytest.mark.parametrize("scale", ["n", "s"])
def test_likeness_gives_the_channels_and_repeats_of_the_stock_layer(scale):
    stock = YOLOModel(resolve(_yolo("Conv", "C2f"), scale))
    twin = YOLOModel(resolve(_yolo("_TwinConv", "_TwinC2f"), scale))
    shapes = [[tuple(p.shape) for p in m.parameters()] for m in (stock, twin)]
    assert shapes[0] == shapes[1]
    assert stock.save == twin.save
    assert stock.stride.tolist() == twin.stride.tolist()
    x = torch.rand(1, 3, 64, 96)
    twin.load_state_dict(stock.state_dict())
    for m in (stock, twin):
        m.eval()
    torch.testing.assert_close(stock(x)[0], twin(x)[0])


def test_every_rule_reports_the_channels_it_makes():
    extra = [[-1, 1, "_Keep", []], [-1, 1, "_Double", []], [[-1, 4], 1, "_Cat", []], [-1, 1, "nn.BatchNorm2d", []]]
    d = resolve(_yolo("Conv", "C2f", extra), "n")
    with building():
        layers, save = parse_model(d, 3, verbose=False)
    keep, cat, norm = layers[5], layers[7], layers[8]
    assert keep.c1 == 64  # min(512, 256) * 0.25
    assert cat.ch == [128, 64]
    assert norm.num_features == 192
    assert save == [2, 4]
    assert [layer.i for layer in layers] == list(range(len(layers)))


def test_state_that_stock_rows_leave_behind_survives_registered_rows():
    """A C3k2 before a registered row must still switch the head's legacy convolutions off, as the stock parser does."""
    d = _yolo("Conv", "C3k2", [[-1, 1, "_Keep", []]])
    d["backbone"][2] = [-1, 1, "C3k2", [128, False]]
    head = YOLOModel(resolve(d, "n")).model[-1]
    assert head.legacy is False


def test_the_stock_parser_is_back_after_a_failed_build():
    stock = tasks.parse_model
    d = resolve(_yolo("Conv", "C2f"), "n")
    d["backbone"][0][3] = [None]
    with pytest.raises((TypeError, ValueError)):
        YOLOModel(d)
    assert tasks.parse_model is stock


@pytest.mark.parametrize("name", [m for m in list_models(task="detect") if m != "cfar.yaml"])  # that one has no layers
def test_every_shipped_model_builds_and_answers(name):
    d = load_model_yaml(name)
    scales = list((load_raw(name).get("scales") or {"": None}).keys())
    model = build(load_model_yaml(name, "n" if "n" in scales else None), nc=3).eval()
    with torch.no_grad():
        y = model(torch.rand(1, 3, 96, 64))
    boxes = y[0] if isinstance(y, tuple) else y
    assert boxes.shape[0] == 1
    assert torch.isfinite(boxes).all()
    assert d["family"] in {"rtdetr", "yolo"}
    assert d["task"] == "detect"


def load_raw(name: str) -> dict:
    from rsdet.modelyaml import read_yaml

    return read_yaml(find_model_yaml(name))


# A row for each registered layer, after a stem of 64 and 128 channels at strides 2 and 4 and 128 at stride 8.
ROWS = {
    "VHeatC2f": [-1, 3, "VHeatC2f", [128, 8]],
    "MFADM": [[2, 1, 0], 1, "MFADM", [128]],
    "CAGFM": [[2, 2], 1, "CAGFM", [128]],
    "ESE": [-1, 1, "ESE", []],
    "AvgPoolDown": [-1, 1, "AvgPoolDown", [128]],
    "InterpDown": [-1, 1, "InterpDown", [128]],
    "BasicLayer": [-1, 3, "BasicLayer", [128]],
    "ConvStem": [-1, 1, "ConvStem", [64]],
    "WDM": [-1, 1, "WDM", [128]],
    "ShuffleAttention": [-1, 1, "ShuffleAttention", [16]],
    **{name: [-1, 1, name, []] for name in ("SE", "CBAM", "ECA", "CoordAttention", "SimAM")},
}
HEADS = {"SSCDetect"}  # they end a model: tests/test_models_sar.py
SAME_AT_EVERY_WIDTH = {"ECA", "SimAM"}  # a kernel that grows with the logarithm of the channels, and no weights at all


@pytest.mark.parametrize("name", [n for n in list_modules() if not n.startswith("_") and n not in HEADS])
def test_every_registered_name_builds_from_a_row_and_follows_the_scale(name):
    params = []
    for scale in ("n", "s"):
        d = {
            "nc": 3,
            "scales": {"n": [0.34, 0.25, 1024], "s": [1.0, 0.5, 1024]},
            "scale": scale,
            "backbone": [[-1, 1, "Conv", [64, 3, 2]], [-1, 1, "Conv", [128, 3, 2]], [-1, 1, "Conv", [128, 3, 2]]],
            "head": [[*ROWS[name]], [-1, 1, "nn.BatchNorm2d", []]],
        }
        with building():
            layers, _ = parse_model(d, 3, verbose=False)
        y, kept = torch.rand(2, 3, 64, 96), []
        for layer in layers[:4]:
            f = layer.f
            y = layer(y if f == -1 else [kept[j] for j in f])
            kept.append(y)
        assert layers[4].num_features == y.shape[1], "the rule reports other channels than the layer makes"
        params.append(sum(p.numel() for p in layers[3].parameters()))
    assert params == [0, 0] or params[0] < params[1] or name in SAME_AT_EVERY_WIDTH


def test_a_file_called_anything_works(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(find_model_yaml("vmc-detr.yaml").read_text())
    a, b = load_model_yaml(path, "n"), load_model_yaml("vmc-detr.yaml", "n")
    assert a["backbone"] == b["backbone"]
    assert a["head"] == b["head"]


def test_variables_reach_the_layers():
    d = load_model_yaml("vmc-detr-demo.yaml", overrides={"nq": 17, "kernels": [3, 5]})
    model = build(d, nc=2)
    assert model.num_queries == 17
    kernels = {m.kernel_size for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups == m.in_channels > 1}
    assert (11, 11) not in kernels
    assert (5, 5) in kernels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        # an unknown layer: its row and the nearest names
        (lambda d: d["backbone"].__setitem__(1, [-1, 1, "VHeatC2", [64]]), r"row 1 \(backbone\).*'VHeatC2f'"),
        # a row of three
        (lambda d: d["backbone"].__setitem__(1, [-1, 1, "Conv"]), r"row 1 .*must be \[from, repeats, name, args\]"),
        # no rows at all
        (lambda d: d.update(backbone=[], head=[]), "no backbone or head rows"),
        # wrong arguments of a registered layer
        (lambda d: d["backbone"].__setitem__(2, [-1, 1, "_Keep", [1, 2, 3]]), r"row 2 .*_Keep does not take"),
    ],
)
def test_a_bad_row_is_one_line(change, message):
    d = resolve(_yolo("Conv", "C2f"), "n")
    change(d)
    with pytest.raises(ConfigError, match=message) as e, building():
        parse_model(d, 3, verbose=False)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: load_model_yaml("vmc-dtr.yaml"), "vmc-detr.yaml"),
        (lambda: load_model_yaml("vmc-detr.yaml", "q"), "scale='q'"),
        (lambda: load_model_yaml("vmc-detr.yaml", overrides={"kernel": 1}), "'kernels'"),
        (lambda: resolve({"family": "rtdert"}), "'rtdetr'"),
        (lambda: register("_X", like="C3")(Keep), "must be one of"),
        (lambda: register("_X")(Keep), "exactly one"),
        (lambda: register("Conv", like="Conv")(Keep), "stock Ultralytics layer"),
        (lambda: register("_TwinConv", like="Conv")(Keep), "already registered"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_scaled_follows_ultralytics_arithmetic():
    assert scaled(512, Row("x", [3], 1, [], width=0.25, max_channels=256)) == 64
    assert scaled(50, Row("x", [3], 1, [], width=0.5)) == 32
