"""MFADM beside its equation (tests/nn): its fused form, its choices."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from ultralytics.nn.modules import ADown

from rsdet.errors import ConfigError
from rsdet.nn import MFADM, AvgPoolDown, InterpDown
from rsdet.nn.mfadm import _rule
from rsdet.registry import Row

CH = [24, 16, 8]  # P5, P4, P3


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


def levels(h: int = 10, w: int = 12) -> list[torch.Tensor]:
    return [torch.randn(2, c, int(h * z), int(w * z)) for c, z in zip(CH, (0.5, 1, 2), strict=True)]


def lively(model: MFADM) -> MFADM:
    """Batch norms with statistics and affine parts that are not 0 and 1."""
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.normal_(m.running_mean, 0, 0.3)
            nn.init.uniform_(m.running_var, 0.5, 2)
            nn.init.normal_(m.weight, 1, 0.2)
            nn.init.normal_(m.bias, 0, 0.2)
    return model.eval()


def gathered(model: MFADM, maps: list[torch.Tensor]) -> torch.Tensor:
    p5, p4, p3 = maps
    return torch.cat([model.cv5(F.interpolate(p5, scale_factor=2)), model.cv4(p4), model.down3(p3)], 1)


def test_without_distribution_it_is_the_projection():
    model, maps = MFADM(CH, 20).eval(), levels()
    for layer in (*model.dw, model.pw.conv):
        nn.init.zeros_(layer.weight)
    for dw in model.dw:
        nn.init.zeros_(dw.bias)
    assert torch.allclose(model(maps), model.project(gathered(model, maps)), atol=1e-6)


@pytest.mark.parametrize("kernels", [(5, 7, 9, 11), (3, 5), (1, 7), (9,)])
def test_fused_is_equal_and_leaner(kernels):
    model, maps = lively(MFADM(CH, 20, kernels)), levels()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    want, lean = model(maps), copy.deepcopy(model).fuse()
    assert torch.allclose(lean(maps), want, atol=1e-5)
    assert lean.fused
    assert lean.fuse() is lean  # twice does no harm
    assert lean.dw.kernel_size == (max(kernels),) * 2
    assert not model.fused
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_fused_survives_half():
    model, maps = lively(MFADM(CH, 20)), levels()
    lean = copy.deepcopy(model).half().fuse()
    y = lean([m.half() for m in maps]).float()
    assert torch.allclose(y, model(maps), atol=0.05)


@pytest.mark.parametrize("sizes", [((17, 24), (33, 47)), ((17, 23), (34, 46)), ((5, 9), (9, 17))])
def test_output_has_the_size_of_p4_whatever_the_others_have(sizes):
    (h, w), p3 = sizes
    maps = [torch.randn(1, 24, (h + 1) // 2, (w + 1) // 2), torch.randn(1, 16, h, w), torch.randn(1, 8, *p3)]
    model = lively(MFADM(CH, 20))
    y = model(maps)
    assert y.shape == (1, 20, h, w)
    assert torch.allclose(copy.deepcopy(model).fuse()(maps), y, atol=1e-5)


def test_kernels_change_the_depthwise_weights_only():
    a, b = ({n: p.shape for n, p in MFADM(CH, 20, k).named_parameters()} for k in ((5, 7, 9, 11), (3, 7, 11, 15)))
    assert a.keys() == b.keys()
    assert {n.split(".")[0] for n in a if a[n] != b[n]} == {"dw"}


@pytest.mark.parametrize(
    ("down", "cls"), [("ADown", ADown), ("avgpool", AvgPoolDown), ("interp", InterpDown), ("conv", None)]
)
def test_downsampling_of_table_9(down, cls):
    model = MFADM(CH, 20, down=down)
    assert model(levels()).shape == (2, 20, 10, 12)
    assert cls is None or isinstance(model.down3, cls)
    if down == "conv":
        assert model.down3.conv.stride == (2, 2)


@pytest.mark.parametrize("e", [0.25, 0.5, 1.0])
def test_branch_width_follows_p4(e):
    assert MFADM(CH, 20, e=e).pw.conv.in_channels == 3 * int(e * 16)


def test_channels_in_a_yaml_row():
    args, c2 = _rule(Row("MFADM", CH, 1, [40, [3, 5], 0.5, "conv"], width=0.5))
    assert (args, c2) == ([CH, 24, [3, 5], 0.5, "conv"], 24)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"ch": [8, 8]}, "must be three"),
        ({"kernels": [4]}, "must be odd"),
        ({"kernels": []}, "must be odd"),
        ({"down": "adown"}, "Did you mean 'ADown'"),
        ({"ch": [8, 6, 8]}, "must be even"),
    ],
)
def test_wrong_arguments_are_named(kwargs, message):
    with pytest.raises(ConfigError, match=message):
        MFADM(**{"ch": CH, "c_out": 20} | kwargs)


def test_training_adds_the_kernels_first_with_the_same_outputs_and_gradients():
    torch.manual_seed(0)
    m = MFADM([32, 16, 8], 16).double()
    x = torch.rand(2, 24, 9, 13, dtype=torch.float64)
    grads, outs = [], []
    for training in (True, False):
        m.zero_grad()
        m.train(training)
        y = m.distribute(x)
        y.square().sum().backward()
        outs.append(y.detach())
        grads.append([p.grad.clone() for p in m.dw.parameters()])
    torch.testing.assert_close(outs[0], outs[1])
    torch.testing.assert_close(grads[0], grads[1])
