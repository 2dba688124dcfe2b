"""SDENet: the paper's numbers exactly, the same values as its equations written out, and stripes that keep apart."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from references.agree import assert_agrees, lively, maps
from references.sdenet import block, sdenet
from torch import nn

from rsdet.errors import ConfigError
from rsdet.nn.sdenet import CSWinBlock, SDENet, StripeAttention, VariationalMapping, stripe_width


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("bands", "count"), [(50, 342_368), (162, 406_880), (189, 422_432), (204, 431_072), (224, 442_592)]
)
def test_as_many_parameters_as_the_paper_has(bands, count):
    assert parameters(SDENet(bands)) == count


def test_parts_have_the_parameters_of_the_sheet():
    assert [parameters(m) for m in (CSWinBlock(32, 2), CSWinBlock(64, 4), VariationalMapping(128, 32))] == [
        8_864, 34_112, 12_480,
    ]  # fmt: skip
    assert parameters(SDENet(50, bottleneck="cswin")) == 463_648


def operations(net, side=64):
    """As the paper counted: convolutions, four for each number that LayerNorm puts out, and no attention.

    A transposed convolution counts four times too much, as it does there.
    """
    total = 0

    def count(module, _, out):
        nonlocal total
        if isinstance(module, StripeAttention):
            total += out.numel() * 9
        elif isinstance(module, nn.LayerNorm):
            total += 4 * out.numel()
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            total += out.numel() * module.in_channels // module.groups * module.kernel_size[0] ** 2

    for module in net.modules():
        module.register_forward_hook(count)
    with torch.no_grad():
        net.train()(torch.zeros(1, net.channels, side, side))
    return total


@pytest.mark.parametrize(("bottleneck", "mmac", "printed"), [("vm", 522.713, 8363.41), ("cswin", 561.904, 8990.47)])
def test_as_many_operations_as_the_paper_has(bottleneck, mmac, printed):
    found = operations(SDENet(50, bottleneck=bottleneck)) / 1e6
    assert found == pytest.approx(mmac, abs=5e-4)
    assert 16 * found == pytest.approx(printed, abs=5e-3)


@pytest.mark.parametrize(("size", "width"), [(72, 9), (36, 4), (18, 2), (40, 5), (44, 4), (7, 1), (108, 12)])
def test_stripes_divide_their_axis(size, width):
    assert stripe_width(size) == width


SMALL = dict(width=8, latent=4)


@pytest.mark.parametrize(
    ("settings", "size"),
    [({}, (24, 17)), ({"bottleneck": "cswin", "eq7": "printed", "global_skip": False}, (8, 20))],
)
def test_the_network_written_out(settings, size):
    net = lively(SDENet(3, **SMALL, **settings))
    definition = partial(
        sdenet,
        vm=net_has_vm(settings),
        printed=settings.get("eq7") == "printed",
        skip=settings.get("global_skip", True),
    )
    assert_agrees(net, definition, maps((2, 3, *size)))


def net_has_vm(settings):
    return settings.get("bottleneck") != "cswin"


def test_a_block_written_out():
    assert_agrees(lively(CSWinBlock(8, 4)), partial(block, heads=4), maps((2, 8, 16, 24)))


@pytest.mark.parametrize("side", [32, 40, 48, 64, 72, 80, 96])
def test_the_shape_stays(side):
    assert SDENet(4, **SMALL).eval()(torch.rand(1, 4, side, side + 3)).shape == (1, 4, side, side + 3)


def test_inference_draws_nothing_and_training_does():
    net, x = SDENet(4, **SMALL), torch.rand(1, 4, 16, 16)
    assert not torch.equal(net.train()(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


def test_the_spread_is_bounded():
    layer = VariationalMapping(4, 4).train()
    nn.init.constant_(layer.log_std.bias, 1e4)
    assert layer(torch.rand(1, 4, 8, 8)).isfinite().all()


@pytest.mark.parametrize("vertical", [True, False])
def test_what_lies_in_another_stripe_changes_nothing(vertical):
    layer = StripeAttention(4, 2, vertical).double()
    qkv = torch.randn(1, 3, 4, 32, 32, dtype=torch.float64)
    before = layer(qkv)
    other = qkv.clone()
    mixed = torch.randperm(28 * 32)
    along = -1 if vertical else -2
    part = other.narrow(along, 4, 28)
    part.copy_(part.reshape(1, 3, 4, -1)[..., mixed].reshape(part.shape))
    after = layer(other)
    first = [x.narrow(along, 0, 4) for x in (before, after)]
    assert torch.allclose(*first, atol=1e-12)
    assert not torch.allclose(before, after)


@pytest.mark.parametrize(
    "wrong", [{"channels": 0}, {"width": 6}, {"latent": 1.5}, {"bottleneck": "vae"}, {"eq7": "x"}, {"global_skip": 1}]
)
def test_arguments_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError) as e:
        SDENet(**{"channels": 4, **wrong})
    assert "\n" not in str(e.value)
    assert next(iter(wrong)) in str(e.value)


def test_exports_have_no_layer_of_the_spread(tmp_path):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "net.onnx"
    torch.onnx.export(SDENet(3, **SMALL).eval(), torch.rand(1, 3, 16, 16), path, opset_version=17, dynamo=False)
    graph = onnx.load(path).graph
    assert not [i.name for i in graph.initializer if "log_std" in i.name]
    assert not [n.op_type for n in graph.node if n.op_type.startswith("Random")]
