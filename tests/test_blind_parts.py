"""Parts of HAC-MoE: networks, kernel sampling, features, history."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from rsdet.blind.features import build_encoder, feature_distance, pyramid
from rsdet.blind.history import History, history_momentum, meta_weights
from rsdet.blind.kernel_net import KernelNet
from rsdet.blind.sampling import KernelSampler, KernelStats, similarity
from rsdet.blind.skip_net import NonLocal, SkipNet, inner_size
from rsdet.blind.spectral_moe import MAMoE, radial_bands
from rsdet.data.degrade.kernels import centre_of_mass, kernel_centre, random_kernel
from rsdet.errors import ConfigError, MissingDependencyError


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_sizes_are_those_of_the_paper():
    assert _count(SkipNet(experts=0)) == 2_357_345
    assert _count(KernelNet(19)) == 562_361
    assert _count(SkipNet()) + _count(KernelNet(19)) == 3_171_406  # "3.1 M"; "2.9 M" without MA-MoE
    assert _count(MAMoE(128)) == 50_340


@pytest.mark.parametrize("hw", [(64, 64), (33, 47), (2, 3)])
def test_moe_begins_as_the_identity(hw):
    x = torch.randn(2, 8, *hw, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(MAMoE(8)(x), x, atol=2e-6, rtol=0)


def test_bands_share_out_all_frequencies():
    bands = radial_bands(4)
    assert torch.equal(bands.sum(0), torch.ones(9, 5))
    assert torch.equal(bands, bands.flip(1))  # f and -f
    assert bands[0, 4, 0] == 1  # zero frequency
    assert bands[3, 0, 4] == bands[3, 8, 4] == 1  # highest along both axes


@pytest.mark.parametrize("hw", [(16, 16), (15, 9)])
def test_one_flat_expert_scales_by_its_gate(hw):
    moe = MAMoE(4, experts=1)
    with torch.no_grad():
        moe.experts[:, 0], moe.experts[:, 1] = 3.0, 0.0
        moe.gate[2].bias.fill_(0.7)
    x = torch.randn(1, 4, *hw, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(moe(x), 3 * torch.sigmoid(torch.tensor(0.7)) * x, atol=1e-5, rtol=1e-5)


def test_gates_are_no_softmax_and_see_the_content():
    torch.manual_seed(0)
    moe = MAMoE(8)
    nn.init.normal_(moe.gate[2].weight)
    gates = moe.gates(3 * torch.randn(2, 8, 1, 1).expand(-1, -1, 4, 4))
    assert ((gates > 0) & (gates < 1)).all()
    assert not torch.allclose(gates.sum(1), torch.ones(2), atol=0.05)
    assert not torch.allclose(gates[0], gates[1], atol=0.05)


@pytest.mark.parametrize("size", [32, 33, 64])
@pytest.mark.parametrize("k", [(0, 0), (3, 0), (5, 2), (12, 12), (7, 14)])
def test_a_wave_and_its_mirror_pass_alike(size, k):
    moe = MAMoE(1).double()
    with torch.no_grad():
        moe.gate[2].bias.copy_(torch.tensor([1.0, -0.3, -2.0, -50.0]))
    y, x = torch.meshgrid(*[torch.arange(size, dtype=torch.float64)] * 2, indexing="ij")
    gains = []
    for sign in (1, -1):
        wave = torch.cos(2 * np.pi * (sign * k[0] * y + k[1] * x) / size)
        out = moe(wave[None, None])[0, 0].detach()
        gains.append(float((out * wave).sum() / (wave * wave).sum()))
        torch.testing.assert_close(out, gains[-1] * wave, atol=1e-9, rtol=0)
    assert gains[0] == pytest.approx(gains[1], abs=1e-12)
    # The gain is that of the grid at this very frequency: between the nodes of a plane of 1/8 by 1/8.
    grid = (2 * radial_bands(4).double() * torch.sigmoid(moe.gate[2].bias)[:, None, None]).sum(0)
    at = ((k[0] / size + 0.5) * 8, k[1] / size * 8)
    low = [min(int(v), n - 2) for v, n in zip(at, grid.shape, strict=True)]
    dy, dx = (v - n for v, n in zip(at, low, strict=True))
    near = grid[low[0] : low[0] + 2, low[1] : low[1] + 2]
    want = (1 - dy) * ((1 - dx) * near[0, 0] + dx * near[0, 1]) + dy * ((1 - dx) * near[1, 0] + dx * near[1, 1])
    assert gains[0] == pytest.approx(float(want), abs=1e-9)


def test_moe_filters_by_frequency():
    """With the gate of the outer rings shut, a checkerboard goes and the mean stays."""
    moe = MAMoE(1)
    with torch.no_grad():
        moe.gate[2].bias.copy_(torch.tensor([0.0, -50.0, -50.0, -50.0]))
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    board = 0.3 + ((x + y) % 2).float() - 0.5
    out = moe(board[None, None])[0, 0].detach()
    assert float(out.std()) < 1e-3
    assert float(out.mean()) == pytest.approx(0.3, abs=1e-3)


def test_non_local_begins_as_the_identity_and_equals_the_double_sum():
    torch.manual_seed(0)
    block, x = NonLocal(4).eval(), torch.randn(1, 4, 4, 6)
    torch.testing.assert_close(block(x), x)
    nn.init.ones_(block.out[1].weight)
    theta, phi, g = block.theta(x), *(nn.functional.max_pool2d(f(x), 2) for f in (block.phi, block.g))
    want = torch.zeros(1, 2, 4, 6)
    for i in range(4):
        for j in range(6):
            for p in range(2):
                for q in range(3):
                    want[0, :, i, j] += (theta[0, :, i, j] @ phi[0, :, p, q]) * g[0, :, p, q] / 6
    torch.testing.assert_close(block(x), x + block.out(want), atol=1e-5, rtol=1e-4)


def test_image_network_is_the_same_in_both_modes():
    net, z = SkipNet(channels=8, skip=4), torch.rand(1, 1, 64, 96)
    out = net.train()(z)
    assert out.shape == z.shape
    torch.testing.assert_close(net.eval()(z), out)
    assert inner_size(70, 20) == (96, 64)


def test_generated_kernels_are_kernels():
    k = KernelNet(11, 20, 30)(100 * torch.randn(1, 20))
    assert k.shape == (11, 11)
    assert k.min() >= 0
    assert float(k.detach().sum()) == pytest.approx(1, abs=1e-5)


def test_similarity_is_one_for_equals_symmetric_and_at_most_one():
    rng = np.random.default_rng(0)
    kernels = [random_kernel(3, rng, perturb=0.4) for _ in range(12)]
    for a in kernels:
        assert similarity(a, a) == pytest.approx(1)
        for b in kernels:
            assert similarity(a, b) == pytest.approx(similarity(b, a))
            assert similarity(a, b) <= 1 + 1e-9


def test_similarity_is_equation_5():
    rng = np.random.default_rng(1)
    a, b = (random_kernel(2, rng).astype(np.float64) for _ in range(2))
    pearson = np.corrcoef(a.ravel(), b.ravel())[0, 1]
    p, q = (k / k.max() for k in (a, b))
    ssim = (2 * p.mean() * q.mean() + 1e-4) * (2 * ((p - p.mean()) * (q - q.mean())).mean() + 9e-4)
    ssim /= (p.mean() ** 2 + q.mean() ** 2 + 1e-4) * (p.var() + q.var() + 9e-4)
    at = np.stack(np.meshgrid(np.arange(11), np.arange(11))).reshape(2, -1)
    ca, cb = (np.cov(at, aweights=k.ravel(), ddof=0) for k in (a, b))
    moments = 1 - np.linalg.norm(ca - cb) / (np.linalg.norm(ca) + np.linalg.norm(cb))
    assert similarity(a, b) == pytest.approx(0.5 * pearson + 0.2 * ssim + 0.3 * moments)


@pytest.mark.parametrize("scale", [2, 4])
def test_accepted_kernels_have_fewer_outliers_and_stay_diverse(scale):
    """An outlier is less like the population of random kernels than 95 % of that population are."""
    sampler, rng = KernelSampler(scale, np.random.default_rng(0)), np.random.default_rng(1)
    taken = [sampler.sample() for _ in range(200)]
    assert 0.8 < sampler.taken / sampler.drawn < 0.97
    for k in taken[:50]:
        assert k.min() >= 0
        assert np.abs(centre_of_mass(k.astype(np.float64)) - kernel_centre(len(k), scale)).max() < 0.1
    a, r = [KernelStats(k) for k in taken], [KernelStats(random_kernel(scale, rng)) for _ in range(200)]
    mean_r, mean_a = (np.array([np.mean([similarity(x, y) for y in r]) for x in xs]) for xs in (r, a))
    assert (mean_a < np.percentile(mean_r, 5)).mean() < 0.03

    def spread(stats: list[KernelStats]) -> np.ndarray:
        values = np.array([np.linalg.eigvalsh(x.covariance) for x in stats])
        return np.array([np.log(values[:, 1] / values[:, 0]).std(), np.log(values.prod(1)).std()])

    assert (spread(a) >= 0.7 * spread(r)).all()


def test_criterion_is_equation_6_over_the_queue():
    sampler = KernelSampler(2, np.random.default_rng(3), queue=4)
    for _ in range(6):
        sampler.sample()
    assert len(sampler.kernels) == 4
    k = random_kernel(2, np.random.default_rng(9))
    s = [similarity(k, other) for other in sampler.kernels]
    assert sampler.score(k) == pytest.approx(-abs(np.mean(s) - 0.8) - (max(s) - 0.97) - (0.55 - min(s)))


def test_without_contrast_kernels_are_random():
    sampler, rng = KernelSampler(2, np.random.default_rng(0), contrastive=False), np.random.default_rng(0)
    for _ in range(3):
        np.testing.assert_array_equal(sampler.sample(), random_kernel(2, rng))


def test_sampler_goes_on_where_it_was():
    a, b = (KernelSampler(2, np.random.default_rng(seed)) for seed in (0, 1))
    a.sample()
    b.load_state_dict(a.state_dict())
    np.testing.assert_array_equal(a.sample(), b.sample())


@pytest.mark.parametrize("picture", ["noise", "black", "flat"])
def test_pyramid_is_a_unit_vector_without_nan(picture):
    x = {"noise": torch.rand(1, 3, 37, 50), "black": torch.zeros(1, 1, 16, 16), "flat": torch.full((1, 1, 16, 16), 0.5)}
    x = x[picture].requires_grad_()
    f = pyramid(x)
    f.square().sum().backward()
    assert torch.isfinite(x.grad).all()
    if picture != "black":
        assert float(f.detach().norm()) == pytest.approx(1, abs=1e-5)


def test_pyramid_tells_edges_from_brightness():
    x = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    blurred = nn.functional.avg_pool2d(nn.functional.pad(x, (2, 2, 2, 2), mode="reflect"), 5, 1)
    assert feature_distance(pyramid(x), pyramid(0.9 * x)) < 1e-3
    assert feature_distance(pyramid(x), pyramid(blurred)) > 0.05


def test_encoders_that_cannot_be_had(tmp_path):
    assert build_encoder("none", torch.device("cpu")) is None
    with pytest.raises(ConfigError, match="Did you mean 'clip'"):
        build_encoder("clib", torch.device("cpu"))
    with pytest.raises(ConfigError, match="feature=pyramid"):
        build_encoder("clip", torch.device("cpu"), weights=str(tmp_path / "none.pt"))


@pytest.mark.parametrize("package", ["open_clip", "transformers"])
def test_clip_without_its_package(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    weights = tmp_path if package == "transformers" else tmp_path / "clip.pt"
    if package == "open_clip":
        weights.write_bytes(b"x")
    with pytest.raises(MissingDependencyError, match=package):
        build_encoder("clip", torch.device("cpu"), weights=str(weights))


def test_clip_gets_rgb_of_224_px_in_its_own_range(tmp_path, monkeypatch):
    """Stands in for open_clip, which is not a dependency: what matters is what it is asked for."""
    seen = []

    class Fake(nn.Linear):
        def encode_image(self, x):
            seen.append(x)
            return self(x.mean((2, 3)))

    asked = {}
    fake = SimpleNamespace(create_model=lambda name, pretrained: asked.update(p=pretrained, n=name) or Fake(3, 5))
    monkeypatch.setitem(sys.modules, "open_clip", fake)
    file = tmp_path / "clip.pt"
    file.write_bytes(b"x")
    encode = build_encoder("clip", torch.device("cpu"), weights=str(file))
    f = encode(torch.full((1, 1, 40, 60), 0.48145466))
    assert asked == {"p": str(file), "n": "ViT-B-32"}
    assert seen[0].shape == (1, 3, 224, 224)
    assert seen[0][:, 0].abs().max() < 1e-4
    assert float(f.norm()) == pytest.approx(1, abs=1e-5)


def test_momentum_is_equation_11():
    assert history_momentum(0.0) == history_momentum(1e-6) == 0.99
    assert history_momentum(1e-2) == history_momentum(1.0) == pytest.approx(0.8)
    losses = np.geomspace(1e-7, 1, 50)
    alphas = [history_momentum(v) for v in losses]
    assert np.all(np.diff(alphas) <= 0)
    assert history_momentum((1e-6 + 1e-2) / 2) == pytest.approx((0.8 + 0.99) / 2)


def test_meta_weights():
    w = meta_weights([3.0, 1.0, 2.0, 5.0, 4.0])
    assert (w >= 0).all()
    assert int(w.argmax()) == 1
    equal = meta_weights([0.2] * 5)
    assert torch.isfinite(equal).all()
    torch.testing.assert_close(equal, equal[:1].expand(5))
    assert (meta_weights([1.0, 1e9]) >= 0).all()
    losses = torch.rand(5, requires_grad=True)
    assert not meta_weights(losses).requires_grad


def test_history_is_a_running_average_without_gradient():
    net = nn.Linear(3, 2)
    history = History(net)
    before = net.weight.detach().clone()
    with torch.no_grad():
        net.weight.add_(1)
    history.update(net, 0.8)
    torch.testing.assert_close(history.network.weight, before + 0.2)
    torch.testing.assert_close(net.weight.detach(), before + 1)
    assert not history(torch.rand(1, 3)).requires_grad
