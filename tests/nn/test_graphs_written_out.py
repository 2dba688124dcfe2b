"""Whole detectors against their graphs written out: every row of every shipped YAML of the two papers."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from references import graphs, sar_ship
from references.agree import assert_close, lively, maps, weights_of
from torch import nn

from rsdet.modelyaml import list_models, load_model_yaml
from rsdet.tasks.detect.model import build

SMALL = dict(w1=4, w2=6, w3=8, w4=12, neck=16, hd=16, enc_ffn=16, nq=20, nh=4)
VMC = dict(SMALL, w5=20, dec_ffn=16, nr=2, n3=2, n4=2)
R18 = dict(SMALL, w1=4, w2=6, w3=8, w4=12, dec_ffn=16, nr=2)
DEMO = dict(w1=4, w2=6, w3=8, w4=12, w5=20, neck=16, hd=16, ffn=16, nq=20)

# Backbone, neck and what joins maps, by table 6 of the paper: H, M and C for the three new parts.
DETRS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "vmc-detr": ("heat", "mfadm", "CAGFM", VMC),
    "vmc-detr-demo": ("heat", "mfadm", "CAGFM", DEMO),
    "vmc-detr-lite": ("lite", "mfadm", "CAGFM", VMC),  # ours, not the paper's
    "vmc-detr-ablate-h": ("heat", "ccfm", "Concat", {}),
    "vmc-detr-ablate-m": ("resnet", "mfadm", "Concat", {}),
    "vmc-detr-ablate-c": ("resnet", "ccfm", "CAGFM", {}),
    "vmc-detr-ablate-hm": ("heat", "mfadm", "Concat", {}),
    "vmc-detr-ablate-hc": ("heat", "ccfm", "CAGFM", {}),
    "vmc-detr-ablate-mc": ("resnet", "mfadm", "CAGFM", {}),
    "rtdetr-r18": ("resnet", "ccfm", "Concat", R18),
}
# Wise-IoU, shuffle attention, context-decoupled head, by tables 2 and 3 of the paper.
SHIPS = {f"sar-ship-ablate-{key}": key for key in ("w", "s", "h", "ws", "wh", "sh")}
SHIPS |= {"sar-ship": "wsh", "sar-ship-ablate-base": ""}


def built(name: str, **variables: Any) -> tuple[nn.Module, dict[str, Any]]:
    """A model with random weights, and its dictionary. Widths that the YAML states as numbers are divided by 16."""
    d = load_model_yaml(f"{name}.yaml", overrides=variables)
    if d["family"] == "yolo":
        d["scales"] = {d["scale"]: [0.33, 0.0625, 1024]}
    elif not variables:
        for row in (*d["backbone"], *d["head"]):
            row[3] = [a // 16 if isinstance(a, int) and a >= 64 else a for a in row[3]]
    return lively(build(d, nc=3)), d


def outputs(model: nn.Module, image: torch.Tensor) -> tuple[dict[int, Any], list[torch.Tensor], Any]:
    """Of every row; what the last one reads; what comes out."""
    found: dict[int, Any] = {}
    read: list[list[torch.Tensor]] = []
    hooks = [r.register_forward_hook(lambda m, _, y: found.__setitem__(m.i, y)) for r in model.model]
    hooks.append(model.model[-1].register_forward_pre_hook(lambda _, x: read.append(x[0])))
    with torch.no_grad():
        y = model(image)
    for hook in hooks:
        hook.remove()
    return found, read[-1], y


@pytest.mark.parametrize("name", DETRS)
def test_every_row_of_the_transformers(name):
    backbone, neck, join, variables = DETRS[name]
    (model, _), (image,) = built(name, **variables), maps((2, 3, 64, 96))
    row = graphs.Rows(model)
    first = {"heat": 9, "lite": 9, "resnet": 5}[backbone]
    levels = getattr(graphs, f"{backbone}_backbone")(row, image.numpy())
    levels = getattr(graphs, f"{neck}_neck")(row, first, *levels, join=join)

    found, read, (got, _) = outputs(model, image)
    assert sorted(row.found) == list(range(len(model.model) - 1))
    for i, want in row.found.items():
        assert_close(found[i], want, i)
    for x, want in zip(read, levels, strict=True):
        assert_close(x, want, "decoder")
    folded = deepcopy(model).fuse(verbose=False)
    _, read, (again, _) = outputs(folded, image)
    for x, want in zip(read, levels, strict=True):
        assert_close(x, want, "folded")
    torch.testing.assert_close(again, got, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", sorted(DETRS.keys() - {"vmc-detr-demo"}))
def test_settings_of_the_transformers(name):
    """What neither shapes nor sums tell apart: heads, queries, kernels, the order of MFADM's inputs, common widths."""
    backbone, neck, join, _ = DETRS[name]
    backbone = "heat" if backbone == "lite" else backbone
    d = load_model_yaml(f"{name}.yaml")
    rows = [*d["backbone"], *d["head"]]
    settings = lambda kind: [r[3] for r in rows if r[2] == kind]  # noqa: E731
    assert settings("AIFI") == [[1024, 8]]
    assert settings("RTDETRDecoder") == [["nc", 256, 300, 4, 8, 3, 1024]]
    assert [(r[1], r[3]) for r in rows if r[2] == "RepC3"] == [(3, [256, 0.5])] * 4
    assert settings("VHeatC2f") == [[512, 40], [1024, 20]] * (backbone == "heat")
    assert settings("MFADM") == [[256, [5, 7, 9, 11], 0.5, "ADown"]] * (2 * (neck == "mfadm"))
    p5, p3 = (1024, 256) if backbone == "heat" else (512, 128)
    widths = [p5, p3, 256, 256] if neck == "mfadm" else [256] * 4
    assert settings("CAGFM") == [[w] for w in widths] * (join == "CAGFM")


@pytest.mark.parametrize(("heat4", "heat5"), [("C2f", "C2f"), ("VHeatC2f", "C2f"), ("C2f", "VHeatC2f")])
def test_places_of_heat_in_figure_12(heat4, heat5):
    (model, _), (image,) = built("vmc-detr", heat4=heat4, heat5=heat5, **VMC), maps((1, 3, 64, 64))
    row = graphs.Rows(model)
    graphs.heat_backbone(row, image.numpy(), heat4, heat5)
    found, _, _ = outputs(model, image)
    for i, want in row.found.items():
        assert_close(found[i], want, i)


@pytest.mark.parametrize("size", [(64, 96), (96, 160)])  # the second has odd maps at P5
@pytest.mark.parametrize("name", SHIPS)
def test_every_row_of_the_ship_detectors(name, size):
    wise, attention, context = (letter in SHIPS[name] for letter in "wsh")
    (model, d), (image,) = built(name), maps((2, 3, *size))
    row, head = graphs.Rows(model), len(model.model) - 1
    levels = graphs.sar_ship_levels(row, image.numpy(), "ShuffleAttention" if attention else "Identity", context)
    found, _, (_, raw) = outputs(model, image)
    assert d["iou_loss"] == ("wiou-v3" if wise else "ciou")
    assert sorted(row.found) == list(range(head))
    for i, want in row.found.items():
        assert_close(found[i], want, i)
    if context:
        want = sar_ship.head(weights_of(model)["model"][head], levels)
        assert_close(torch.cat([raw["boxes"], raw["scores"]], 1), want, "head")
        levels = levels[1:-1]
    for x, want in zip(raw["feats"], levels, strict=True):
        assert_close(x, want, "levels")


def test_every_shipped_model_of_the_papers_is_here():
    shipped = {
        n.removesuffix(".yaml")
        for pattern in ("vmc-detr*", "rtdetr*", "sar-ship*")
        for n in list_models(pattern, "detect")
    }
    assert shipped == {*DETRS, *SHIPS}
