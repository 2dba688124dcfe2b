"""The mixture of experts beside its equations (tests/nn): its dispatches against each other, who learns, balance."""

from __future__ import annotations

import copy
import io
import itertools
import pickle
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rsdet.errors import ConfigError
from rsdet.nn.hmoe import GATES, DRHMoE, balance_loss

C = 6


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


def spread(moe: DRHMoE) -> DRHMoE:
    """Routers that are decided and send pixels to each expert, whatever is drawn; no two are alike.

    Two features choose the group. The other four choose the expert by directions of which none is in another's shade:
    the 24 shortest vectors of the lattice D4, each the nearest to as much of the sphere as any other.
    """
    roots = torch.tensor([r for r in itertools.product((-1.0, 0.0, 1.0), repeat=4) if sum(map(abs, r)) == 2])
    with torch.no_grad():
        for p in moe.router.parameters():
            p.normal_(0, 0.2)
        angles = 2 * torch.pi * torch.arange(len(moe.sizes)) / len(moe.sizes)
        moe.router.to_group.weight[:, :2] += 3 * torch.stack([angles.cos(), angles.sin()], 1)
        for layer in moe.router.to_expert:
            layer.weight[:, 2:] += 2 * roots[torch.randperm(24)[: len(layer.weight)]]
    return moe


def make(gate: str = "ste", k: int = 1, **kw) -> DRHMoE:
    return spread(DRHMoE(C, kw.pop("upscale", 2), gate=gate, k=k, **kw))


def inputs(b: int = 2, h: int = 9, w: int = 13, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    return torch.randn(b, C, h, w, dtype=dtype), torch.randn(b, C, h, w, dtype=dtype)


@pytest.mark.parametrize(
    ("kernels", "experts"), [((1, 3), (8, 8)), ((1, 3, 5), (5, 6, 5)), ((3,), (1,)), ((3,), (16,))]
)
@pytest.mark.parametrize("upscale", [2, 3, 4])
def test_sparse_equals_dense_in_value_and_gradient(kernels, experts, upscale):
    for gate in GATES:
        for k in {1, min(2, *experts)}:
            moe = make(gate, k, kernels=kernels, experts=experts, upscale=upscale).train()
            f, guide = inputs()
            probe, seen = torch.randn(2, C, 9 * upscale, 13 * upscale), {}
            for dispatch in ("dense", "sparse"):
                moe.dispatch = dispatch
                moe.zero_grad()
                a, b = f.clone().requires_grad_(), guide.clone().requires_grad_()
                y = moe(a, b)
                (y * probe).sum().backward()
                grads = {n: p.grad for n, p in moe.named_parameters()}
                zero = {n: torch.zeros_like(p) for n, p in moe.named_parameters()}
                seen[dispatch] = {"y": y, "f": a.grad, "guide": b.grad if b.grad is not None else 0 * b} | {
                    n: zero[n] if g is None else g for n, g in grads.items()
                }
            for name, want in seen["dense"].items():
                # Gradients of weights are sums over all pixels: 1e-5 of the largest one.
                assert (seen["sparse"][name] - want).abs().max() <= 1e-5 * max(1.0, want.abs().max()), (gate, k, name)


def test_probabilities_sum_to_one_and_each_pixel_has_one_expert():
    moe = make()
    r = moe.router(inputs()[1])
    assert torch.allclose(r.p.sum(-1), torch.ones(()), atol=1e-6)
    assert torch.allclose(r.q.sum(-1), torch.ones(()), atol=1e-6)
    assert r.p.shape[-1] == 2
    assert r.q.shape[-1] == 8
    assert r.expert.shape == (2, 9, 13, 1)
    assert torch.equal(r.expert[..., 0] // 8, r.group)
    assert torch.equal(r.group, r.p.argmax(-1))


def test_ties_go_to_the_lowest_index():
    moe = DRHMoE(C, 2)
    for p in moe.router.parameters():
        torch.nn.init.zeros_(p)
    assert (moe.router(inputs()[1]).expert == 0).all()
    moe.router.k = 3
    assert (moe.router(inputs()[1]).expert == torch.arange(3)).all()


@pytest.mark.parametrize("k", [1, 2])
def test_ste_computes_what_hard_computes(k):
    hard, (f, guide) = make("hard", k).train(), inputs()
    ste = copy.deepcopy(hard)
    ste.router.gate = "ste"
    assert torch.equal(ste(f, guide), hard(f, guide))


@pytest.mark.parametrize(
    ("gate", "groups_learn", "experts_learn"),
    [("ste", True, True), ("joint", True, True), ("paper", False, True), ("hard", False, False)],
)
@pytest.mark.parametrize("dispatch", ["dense", "sparse"])
def test_who_learns(gate, groups_learn, experts_learn, dispatch):
    moe, (f, guide) = make(gate, dispatch=dispatch).train(), inputs(h=20, w=20)
    guide.requires_grad_()
    moe(f, guide).square().mean().backward()

    def learns(p: torch.Tensor) -> bool:
        return p.grad is not None and bool(p.grad.abs().max() > 0)

    assert {learns(p) for p in moe.router.to_group.parameters()} == {groups_learn}
    assert {learns(p) for p in (*moe.router.to_expert.parameters(), moe.router.position)} == {experts_learn}
    assert learns(guide) == (groups_learn or experts_learn)
    assert all(learns(p) for p in moe.experts.parameters())


def test_the_straight_through_gradient_is_that_of_the_joint_probability():
    """d loss / d p_i q_j = <d loss / d y, E_j(f)> for the chosen expert: what a finite difference of `joint` gives."""
    ste, (f, guide) = make("ste").double().train(), inputs(1, 4, 4, torch.float64)
    joint = copy.deepcopy(ste)
    joint.router.gate = "joint"
    probe = torch.randn(1, C, 8, 8, dtype=torch.float64)
    for moe in (ste, joint):
        (moe(f, guide) * probe).sum().backward()
    a, b = ste.router.to_group.weight.grad, joint.router.to_group.weight.grad
    assert torch.allclose(a, b)
    with torch.no_grad():
        losses = []
        for step in (1e-6, -1e-6):
            moved = copy.deepcopy(joint)
            moved.router.to_group.weight[0, 0] += step
            losses.append((moved(f, guide) * probe).sum())
    assert ((losses[0] - losses[1]) / 2e-6).item() == pytest.approx(a[0, 0].item(), rel=1e-5)


def test_identical_experts_make_routing_irrelevant():
    moe, (f, guide) = make(), inputs()
    one = torch.nn.Conv2d(C, 4 * C, 1)
    for conv in moe.experts:
        torch.nn.init.zeros_(conv.weight)
        middle = conv.kernel_size[0] // 2
        with torch.no_grad():
            conv.weight[:, :, middle, middle] = one.weight[:, :, 0, 0]
            conv.bias.copy_(one.bias)
    want = F.pixel_shuffle(one(f), 2)
    for dispatch in ("dense", "sparse"):
        moe.dispatch = dispatch
        assert torch.allclose(moe(f, guide), want, atol=1e-5)


@pytest.mark.parametrize("dispatch", ["dense", "sparse"])
def test_one_expert_is_a_convolution(dispatch):
    moe, (f, guide) = make(kernels=(3,), experts=(1,), dispatch=dispatch), inputs()
    assert torch.allclose(moe(f, guide), F.pixel_shuffle(moe.experts[0](f), 2), atol=1e-5)


def test_random_routes_are_fixed_even_and_blind():
    moe = make("random")
    a, b = (moe.router(torch.randn(1, C, 70, 64)).expert[0, ..., 0] for _ in range(2))
    assert torch.equal(a, b)
    share = np.bincount(a.flatten().numpy(), minlength=16) / a.numel()
    assert share.min() > 0.04
    assert share.max() < 0.09


def test_balance_loss():
    even = make(kernels=(1, 3), experts=(2, 2))
    with torch.no_grad():
        for p in even.router.parameters():
            p.zero_()
        even.router.to_group.weight[0, 0], even.router.to_group.weight[1, 0] = 1e-4, -1e-4
        for layer in even.router.to_expert:
            layer.weight[0, 1], layer.weight[1, 1] = 1e-4, -1e-4
    guide = torch.zeros(1, C, 2, 2)
    guide[0, 0], guide[0, 1] = torch.tensor([[1.0, 1], [-1, -1]]), torch.tensor([[1.0, -1], [1, -1]])
    assert balance_loss(even.router(guide), even.sizes).item() == pytest.approx(2, abs=1e-3)  # 1 per level
    with torch.no_grad():
        even.router.to_group.bias[0] = 50.0  # all pixels to group 0, and in it to expert 0
        even.router.to_expert[0].bias[0] = 50.0
    assert balance_loss(even.router(guide), even.sizes).item() == pytest.approx(4, abs=1e-3)  # n per level


def test_balance_loss_spreads_the_pixels():
    moe, (_, guide) = DRHMoE(C, 2).train(), inputs(2, 12, 12)
    with torch.no_grad():
        moe.router.to_group.bias[1] = 3.0
        for layer in moe.router.to_expert:
            layer.bias[5] = 3.0
    before = np.bincount(moe.router(guide).expert.flatten().numpy(), minlength=16).max() / guide[:, 0].numel()
    for _ in range(60):
        moe.zero_grad()
        balance_loss(moe.router(guide), moe.sizes).backward()
        with torch.no_grad():
            for p in moe.router.parameters():
                p -= 0.5 * p.grad
    after = np.bincount(moe.router(guide).expert.flatten().numpy(), minlength=16).max() / guide[:, 0].numel()
    assert before > 0.9
    assert after < 0.4


def test_usage_is_counted_and_a_collapse_is_told():
    moe, (f, guide) = make().train(), inputs()
    assert moe.usage() is None
    assert moe.usage_notes() == []
    moe(f, guide)
    moe(f, guide)
    want = np.bincount(moe.router(guide).expert.flatten().numpy(), minlength=16) / f[:, 0].numel()
    assert np.allclose(moe.usage(reset=False), want)
    assert moe.usage_notes() == []
    with torch.no_grad():
        moe.router.to_group.bias[0] = 99.0
        moe.router.to_expert[0].bias[3] = 99.0
    moe(f, guide)
    first, second = moe.usage_notes()
    assert "expert 3 takes 100%" in first
    assert "group 1 (3x3) takes no pixel" in second


def test_can_be_copied_and_stored_between_the_steps_of_a_training():
    moe, (f, guide) = make().train(), inputs()
    moe(f, guide)
    for twin in (copy.deepcopy(moe), pickle.loads(pickle.dumps(moe))):
        assert torch.equal(twin(f, guide), moe(f, guide))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_routes_in_single(dtype):
    moe, (f, guide) = make().eval(), inputs()
    low = copy.deepcopy(moe).to(dtype)
    y = low(f.to(dtype), guide.to(dtype))
    assert y.dtype == dtype
    same = (low.router(guide.to(dtype)).expert == moe.router(guide).expert).float().mean()
    assert same > (0.97 if dtype == torch.float16 else 0.9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        r = moe.router(guide)
        y = moe(f, guide)
    assert torch.equal(r.expert, moe.router(guide).expert)
    assert torch.allclose(y.float(), moe(f, guide), atol=0.05)


@pytest.mark.parametrize("gate", ["ste", "joint", "random"])
def test_the_exported_graph_has_no_shapes_that_depend_on_the_image(gate):
    import onnx
    import onnxruntime as ort

    moe, (f, guide) = make(gate).eval(), inputs(1, 8, 8)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(moe, (f, guide), buffer, opset_version=17, input_names=["f", "g"], dynamo=False)
    nodes = {n.op_type for n in onnx.load_from_string(buffer.getvalue()).graph.node}
    assert not nodes & {"NonZero", "Loop", "If", "ScatterND", "Unique", "Range"}
    session = ort.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    y = session.run(None, {"f": f.numpy(), "g": guide.numpy()})
    assert np.abs(y[0] - moe(f, guide).detach().numpy()).max() < 1e-5


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kernels": [1, 2]}, "odd"),
        ({"kernels": [1, 3, 5]}, "one number per group"),
        ({"kernels": 3, "experts": 8}, "lists"),
        ({"experts": [8, 0]}, "positive"),
        ({"k": 9}, "k=9 must be 1 to 8"),
        ({"k": True}, "k=True"),
        ({"gate": "soft"}, "gate must be one of"),
        ({"dispatch": "spars"}, "sparse"),
    ],
)
def test_bad_arguments_are_refused(wrong, said):
    with pytest.raises(ConfigError, match=said):
        DRHMoE(C, 2, **wrong)
