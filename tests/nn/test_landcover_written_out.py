"""CAB-HL and the networks beside it: the paper's sizes, its equations written out, scaling and components inside."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from references import landcover
from references.agree import assert_agrees, lively, maps

from rsdet import RSDet
from rsdet.deploy.complexity import complexity
from rsdet.errors import ConfigError, DataError
from rsdet.nn.cabhl import CABHL, CrossAttention, MultiPath3d, MultiPathDepthwise
from rsdet.nn.landcover import SpectralReduction
from rsdet.nn.patch_cnn import PatchCNN2D, PatchCNN3D

SMALL = dict(bands=6, components=3, patch=4, nc=4, base=2, dim=6, heads=2)


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


class TestSizes:
    def test_the_yaml_has_the_parameters_of_the_sheet(self):
        network = RSDet("cab-hl.yaml").model.network
        assert count(network) == 193_359
        parts = [sum(map(count, p)) for p in zip(*((s.hsi, s.lidar, s.attention) for s in network.stages), strict=True)]
        assert parts == [105_256, 33_368, 43_328]
        assert count(network.head) + count(network.out) == 11_407

    @pytest.mark.parametrize(
        ("given", "params"), [({"nc": 6}, 192_774), ({"nc": 7}, 192_839), ({"stages": 3}, 307_743)]
    )
    def test_other_classes_and_stages(self, given, params):
        assert count(CABHL(**given)) == params

    @pytest.mark.parametrize(("given", "mmac"), [({}, 138.9), ({"patch": 6}, 78.1), ({"components": 30}, 207)])
    def test_multiply_adds_of_a_patch(self, given, mmac):
        network = CABHL(**given)
        p, dim = network.patch, 64
        total = complexity(network, imgsz=p, ch=145).gflops_true / 2 * 1e3
        pca = network.components * 144 * p * p / 1e6
        attention = 2 * 2 * (p * p) ** 2 * dim / 1e6  # which the paper's kind of count leaves out
        assert total - pca - attention == pytest.approx(mmac, rel=2e-3)

    def test_the_plain_networks_cost_as_much(self):
        costs = [complexity(n, imgsz=8, ch=145).gflops_true for n in (CABHL(), PatchCNN2D(), PatchCNN3D())]
        assert max(costs) < 1.03 * min(costs)


class TestEquations:
    @pytest.mark.parametrize("c1", [1, 2])
    @pytest.mark.parametrize("training", [False, True])
    def test_paths_of_the_cube(self, c1, training):
        layer = lively(MultiPath3d(c1, 2))
        assert_agrees(layer, landcover.multi_path_3d, maps((2, c1, 3, 4, 4)), training=training)

    @pytest.mark.parametrize("c1", [1, 2, 3])
    def test_paths_of_the_lidar(self, c1):
        layer = lively(MultiPathDepthwise(c1, 2))
        assert_agrees(layer, landcover.multi_path_depthwise, maps((2, c1, 5, 4)))
        assert_agrees(layer, landcover.multi_path_depthwise, maps((2, c1, 5, 4)), training=True)

    def test_attention_head_by_head(self):
        layer = lively(CrossAttention(10, 3, 8, 4))
        assert_agrees(layer, lambda w, a, b: landcover.cross_attention(w, a, b, 4), maps((2, 9, 10), (2, 7, 3)))

    @pytest.mark.parametrize("patch", [3, 4])
    @pytest.mark.parametrize(("rasters", "fusion"), [(1, "attention"), (2, "attention"), (0, "attention"),
                                                     (1, "concat"), (0, "concat"), (1, "none")])  # fmt: skip
    def test_the_whole(self, rasters, fusion, patch):
        network = lively(CABHL(**{**SMALL, "patch": patch}, rasters=rasters, fusion=fusion))
        x = maps((2, 6 + rasters, patch, patch))
        assert_agrees(network, lambda w, x: landcover.cabhl(w, x, 6, 2, fusion), x)
        if rasters:  # without what it was built for, the stream of the cube alone
            assert_agrees(network, lambda w, x: landcover.cabhl(w, x, 6, 2, fusion), [x[0][:, :6]])

    @pytest.mark.parametrize("cls", [PatchCNN2D, PatchCNN3D])
    def test_plain_networks(self, cls):
        network = lively(cls(bands=6, rasters=1, components=3, patch=4, nc=4, width=5, depth=2))
        assert_agrees(network, lambda w, x: landcover.patch_cnn(w, x, 6, cls is PatchCNN3D), maps((2, 7, 4, 4)))


class TestAttention:
    def test_rows_sum_to_one_and_order_of_the_lidar_does_not_matter(self):
        layer = lively(CrossAttention(10, 3, 8, 4))
        asks, answers = maps((2, 9, 10), (2, 7, 3))
        assert torch.allclose(layer.weights(asks, answers).sum(-1), torch.ones(2, 4, 9, dtype=torch.float64))
        assert torch.allclose(layer(asks, answers), layer(asks, answers[:, torch.randperm(7)]))

    def test_without_a_message_the_cube_is_left_as_it_is(self):
        network = lively(CABHL(**SMALL))
        for stage in network.stages:
            torch.nn.init.zeros_(stage.attention.out.weight)
            torch.nn.init.zeros_(stage.attention.out.bias)
        (x,) = maps((2, 7, 4, 4))
        assert torch.allclose(network(x), network(x[:, :6]))

    def test_both_streams_are_used(self):
        network = lively(CABHL(**SMALL))
        x = maps((2, 7, 4, 4))[0].requires_grad_()
        network(x).square().sum().backward()
        assert (x.grad.abs().sum((0, 2, 3)) > 0).all()


class TestReduction:
    def test_components_are_those_of_scikit_learn(self):
        decomposition = pytest.importorskip("sklearn.decomposition")
        rng = np.random.default_rng(0)
        pixels = rng.normal(size=(50, 7)) @ rng.normal(size=(7, 7)) * 100 + 2000
        layer = SpectralReduction(7, 4).double()
        kept = layer.fit(pixels)
        scaled = (pixels - pixels.min(0)) / np.ptp(pixels, 0)
        pca = decomposition.PCA(4).fit(scaled)
        got = layer(torch.from_numpy(pixels)[:, :, None, None])[:, :, 0, 0].numpy()
        want = pca.transform(scaled)
        assert np.allclose(np.abs(got), np.abs(want), atol=1e-9)
        assert kept == pytest.approx(pca.explained_variance_ratio_.sum())

    def test_a_constant_band_becomes_zero(self):
        pixels = np.array([[1.0, 5.0], [3.0, 5.0]])
        layer = SpectralReduction(2)
        layer.fit(pixels)
        out = layer(torch.tensor(pixels, dtype=torch.float32)[:, :, None, None])[:, :, 0, 0]
        assert out.tolist() == [[0.0, 0.0], [1.0, 0.0]]

    @pytest.mark.parametrize("pixels", [np.eye(3, 8), np.full((9, 8), np.nan)])
    def test_what_cannot_be_fitted_is_refused(self, pixels):
        with pytest.raises(DataError, match=r"components cannot be had from 3|not all finite"):
            SpectralReduction(8, 4).fit(pixels)


@pytest.mark.parametrize(
    "given",
    [{"components": 7}, {"stages": 4}, {"dim": 7}, {"fusion": "sum"}, {"patch": 0}, {"rasters": -1}, {"heads": 0}],
)
def test_arguments_out_of_range_are_refused_in_one_line(given):
    with pytest.raises(ConfigError) as e:
        CABHL(**{**SMALL, **given})
    assert "\n" not in str(e.value)
