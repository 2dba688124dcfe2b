"""The two parts of a network for questions as graphs: batch free, no branch that data decides, the same answers."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import nn

from rsdet.nn.acr import ACR
from rsdet.nn.answering import AnswerHead, ImageEncoder, expand

SMALL = dict(
    depths=(1, 1, 1, 1), width=16, block="basic", dim=16, heads=2, encoder_layers=2, tokens=10, answers=6, length=5
)
TOKENS = torch.tensor([[5, 2, 7, 1, 3], [4, 6, 0, 0, 0], [9, 0, 0, 0, 0], [2, 2, 3, 8, 0], [0, 0, 0, 0, 0]])


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


def make(**args: object) -> ACR:
    """A network whose router finds about half of the questions closed."""
    net = ACR(**{**SMALL, **args}).eval()
    for m in net.modules():
        if isinstance(m, (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.uniform_(m.bias, -0.5, 0.5)
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.running_mean, -0.5, 0.5)
            nn.init.uniform_(m.running_var, 0.5, 2)
    if net.router is not None:
        with torch.no_grad():
            types = net.types_of(net.question(TOKENS))
            net.router[2].bias[0] -= (types[:, 0] - types[:, 1]).sort().values[1:3].mean()
    return net


def exported(part: nn.Module, inputs: tuple[torch.Tensor, ...], names: list[str], outputs: list[str], opset: int):
    import onnx
    import onnxruntime as ort

    buffer = io.BytesIO()
    torch.onnx.export(
        part, inputs, buffer, opset_version=opset, dynamo=False, input_names=names, output_names=outputs,
        dynamic_axes={n: {0: "batch"} for n in [*names, *outputs]},
    )  # fmt: skip
    graph = buffer.getvalue()
    kinds = {n.op_type for n in onnx.load_from_string(graph).graph.node}
    return kinds, ort.InferenceSession(graph, providers=["CPUExecutionProvider"])


def assert_close(got: np.ndarray, want: torch.Tensor) -> None:
    want = want.numpy()
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()


def head_of(net: ACR, opset: int = 17):
    example = (torch.rand(2, 4, net.project.out_features), TOKENS[:2])
    return exported(AnswerHead(net), example, ["features", "tokens"], ["logits", "types", "attention"], opset)


@pytest.mark.parametrize(
    ("opset", "args"),
    [(17, {}), (18, {"block": "bottleneck", "gate": "hard", "dre_init": "identity", "image_positions": True})],
)
def test_images(opset, args):
    net = make(**args)
    kinds, session = exported(ImageEncoder(net), (torch.rand(2, 3, 50, 64),), ["image"], ["features"], opset)
    assert not kinds & {"If", "Loop", "ScatterND", "GlobalAveragePool"}
    for batch in (1, 3):
        x = torch.rand(batch, 3, 50, 64)
        with torch.no_grad():
            assert_close(session.run(None, {"image": x.numpy()})[0], net.encode_image(x))


@pytest.mark.parametrize(
    ("opset", "args"), [(17, {}), (18, {"shared_head": True}), (17, {"closed_mask": True}), (17, {"router": False})]
)
def test_answers(opset, args):
    net = make(**args)
    if "closed_mask" in args:
        net.restrict_closed([1, 4])
    kinds, session = head_of(net, opset)
    assert not kinds & {"If", "Loop", "NonZero", "ScatterND"}
    assert "router" in args or {"Where", "Greater"} <= kinds
    for batch in (1, 5):
        v, tokens = torch.randn(batch, 4, 16), TOKENS[:batch]
        got = session.run(None, {"features": v.numpy(), "tokens": tokens.numpy()})
        with torch.no_grad():
            want = AnswerHead(net)(v, tokens)
            closed = want[1][:, 0] > want[1][:, 1]
        assert batch == 1 or "router" in args or 0 < closed.sum() < batch
        for a, b in zip(got, want, strict=True):
            assert_close(a, b)


def test_a_tie_is_open_in_the_graph_too():
    net = make()
    nn.init.zeros_(net.router[2].weight)
    nn.init.zeros_(net.router[2].bias)
    _, session = head_of(net)
    v = torch.randn(5, 4, 16)
    got = session.run(["logits", "types"], {"features": v.numpy(), "tokens": TOKENS.numpy()})
    assert (got[1] == 0.5).all()
    with torch.no_grad():
        assert_close(got[0], net.answer(v, TOKENS, torch.tensor([False] * 5)).logits)


def test_an_image_is_encoded_once_for_all_questions():
    net, x = make(), torch.rand(2, 3, 64, 64)
    _, encoder = exported(ImageEncoder(net), (x,), ["image"], ["features"], 17)
    _, head = head_of(net)
    features = encoder.run(None, {"image": x.numpy()})[0]
    got = head.run(["logits"], {"features": np.repeat(features, [3, 2], 0), "tokens": TOKENS.numpy()})[0]
    with torch.no_grad():
        assert_close(got, net(x, TOKENS, torch.tensor([3, 2])).logits)
        assert_close(got, net.answer(expand(net.encode_image(x), torch.tensor([3, 2])), TOKENS).logits)


def test_scripted_parts_agree():
    """TorchScript by tracing, the format of Ultralytics' exporter, in batches that it was not traced with."""
    net = make()
    traced = torch.jit.trace(AnswerHead(net), (torch.rand(2, 4, 16), TOKENS[:2]))
    v = torch.randn(5, 4, 16)
    with torch.no_grad():
        for a, b in zip(traced(v, TOKENS), AnswerHead(net)(v, TOKENS), strict=True):
            assert torch.allclose(a, b, atol=1e-5)


def test_a_part_is_in_the_mode_of_its_network_and_leaves_it_there():
    for training in (False, True):
        net = make().train(training)
        assert ImageEncoder(net).training == AnswerHead(net).training == training
        assert all(m.training == training for m in net.modules())
