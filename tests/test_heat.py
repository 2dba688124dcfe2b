"""HCO against SciPy, against plain float64 loops, and the laws of heat."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from scipy.fft import dct, dctn, idctn
from torch import nn
from ultralytics.nn.modules import C2f

from rsdet.nn.heat import HCO, HeatBlock, VHeatC2f, dct_basis, heat_conduct

SIZES = [(40, 40), (40, 28), (25, 25), (1, 13), (13, 1), (33, 47)]


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


def conduct(u: torch.Tensor, decay: torch.Tensor) -> torch.Tensor:
    """`heat_conduct` on (B, H, W, C) with the bases that fit."""
    return heat_conduct(u, decay, *(dct_basis(n, u.dtype) for n in u.shape[1:3]))


def transform(u: torch.Tensor) -> torch.Tensor:
    """Spectrum of (B, H, W, C)."""
    d_h, d_w = (dct_basis(n, u.dtype) for n in u.shape[1:3])
    return torch.einsum("nh,mw,bhwc->bnmc", d_h, d_w, u)


def fft_dct(u: np.ndarray, axis: int) -> np.ndarray:
    """Orthonormal DCT-II by one FFT of the samples reordered (even ones forward, odd ones backward)."""
    u = np.moveaxis(u, axis, -1)
    n = u.shape[-1]
    v = np.fft.fft(np.concatenate([u[..., ::2], u[..., 1::2][..., ::-1]], -1))
    s = (v * np.exp(-1j * np.pi * np.arange(n) / (2 * n))).real * np.sqrt(2 / n)
    s[..., 0] /= np.sqrt(2)
    return np.moveaxis(s, -1, axis)


def fft_idct(s: np.ndarray, axis: int) -> np.ndarray:
    """Inverse of :func:`fft_dct`, by one inverse FFT."""
    s = np.moveaxis(s, axis, -1) / np.sqrt(2 / s.shape[axis])
    n = s.shape[-1]
    s[..., 0] *= np.sqrt(2)
    mirrored = np.concatenate([np.zeros_like(s[..., :1]), s[..., :0:-1]], -1)
    v = np.fft.ifft((s - 1j * mirrored) * np.exp(1j * np.pi * np.arange(n) / (2 * n))).real
    u = np.empty_like(v)
    u[..., ::2], u[..., 1::2] = v[..., : (n + 1) // 2], v[..., (n + 1) // 2 :][..., ::-1]
    return np.moveaxis(u, -1, axis)


def set_linear(layer: nn.Linear, weight: float, bias: float) -> None:
    nn.init.constant_(layer.weight, weight)
    nn.init.constant_(layer.bias, bias)


class TestBasis:
    @pytest.mark.parametrize("n", [1, 2, 7, 20, 25, 40, 64, 160])
    def test_is_orthonormal_and_is_the_dct(self, n):
        d = dct_basis(n)
        assert (d @ d.T - torch.eye(n)).abs().max() < 2e-6
        assert np.abs(d.numpy() - dct(np.eye(n), axis=0, norm="ortho")).max() < 1e-7

    def test_made_in_inference_mode_it_still_trains(self):
        size = 37  # not used elsewhere: the cache must be empty for it
        model, x = HCO(4), torch.randn(1, 4, size, size)
        fve = torch.randn(4, 5, 5, requires_grad=True)
        with torch.inference_mode():
            model(x, fve)
        model(x, fve).sum().backward()
        assert fve.grad.isfinite().all()


class TestEquation3:
    @pytest.mark.parametrize("size", SIZES)
    def test_equals_scipy(self, size):
        u = torch.randn(2, *size, 8)
        decay = HCO(8).decay(torch.randn(8, 20, 20), *size).detach()
        spectrum = dctn(u.double().numpy(), axes=(1, 2), norm="ortho") * decay.double().numpy()
        want = idctn(spectrum, axes=(1, 2), norm="ortho")
        assert np.abs(conduct(u, decay).numpy() - want).max() < 1e-5

    def test_equals_the_sums_written_out(self):
        h, w = 4, 5
        u, k = torch.randn(h, w, dtype=torch.float64), torch.rand(h, w, dtype=torch.float64)
        want = torch.zeros(h, w, dtype=torch.float64)

        def wave(n, m, i, j):
            s = (1 if n == 0 else 2) ** 0.5 * (1 if m == 0 else 2) ** 0.5 / (h * w) ** 0.5
            return s * np.cos(np.pi * n * (i + 0.5) / h) * np.cos(np.pi * m * (j + 0.5) / w)

        cells = [(i, j) for i in range(h) for j in range(w)]
        for n, m in cells:
            spectrum = sum(u[i, j] * wave(n, m, i, j) for i, j in cells)
            spectrum = spectrum * np.exp(-((np.pi * n / h) ** 2 + (np.pi * m / w) ** 2) * k[n, m])
            for i, j in cells:
                want[i, j] += spectrum * wave(n, m, i, j)
        lam = (np.pi * torch.arange(h).double() / h)[:, None] ** 2 + (np.pi * torch.arange(w).double() / w)[None] ** 2
        got = conduct(u[None, ..., None], torch.exp(-lam * k)[..., None])
        assert torch.allclose(got[0, ..., 0], want, atol=1e-12)

    @pytest.mark.parametrize("size", [(40, 40), (25, 28)])
    def test_equals_the_fft_form(self, size):
        u, decay = torch.randn(1, *size, 3).double(), HCO(3).double().decay(torch.randn(3, *size).double(), *size)
        s = fft_dct(fft_dct(u.numpy(), 1), 2)
        assert np.abs(transform(u).numpy() - s).max() < 1e-10
        want = fft_idct(fft_idct(s * decay.detach().numpy(), 2), 1)
        assert np.abs(conduct(u, decay).detach().numpy() - want).max() < 1e-10

    @pytest.mark.parametrize("size", SIZES)
    def test_nothing_is_conducted_when_k_is_zero(self, size):
        model = HCO(8)
        set_linear(model.to_k, 0.0, -1.0)
        u = torch.randn(2, *size, 8)
        got = conduct(u, model.decay(torch.randn(8, 9, 9), *size))
        assert (got - u).abs().max() < 1e-5

    @pytest.mark.parametrize("size", SIZES)
    def test_parseval(self, size):
        u = torch.randn(1, *size, 3)
        assert transform(u).square().sum().item() == pytest.approx(u.square().sum().item(), rel=1e-5)

    def test_a_constant_map_stays(self):
        u = torch.tensor([3.0, -2.0]).expand(1, 20, 28, 2).contiguous()
        model = HCO(2)
        set_linear(model.to_k, 1.0, 2.0)
        assert (conduct(u, model.decay(torch.rand(2, 20, 28), 20, 28)) - u).abs().max() < 1e-5

    def test_energy_never_grows_with_k(self):
        u, model, energies = torch.randn(1, 20, 20, 4), HCO(4), []
        for k in (0.0, 0.01, 0.1, 1.0, 10.0):
            set_linear(model.to_k, 0.0, k)
            decay = model.decay(torch.zeros(4, 20, 20), 20, 20)
            assert decay.min() >= 0
            assert decay.max() <= 1
            assert torch.equal(decay[0, 0], torch.ones(4))
            energies.append(conduct(u, decay).square().sum().item())
        assert energies == sorted(energies, reverse=True)
        assert energies[0] == pytest.approx(u.square().sum().item(), rel=1e-5)


class TestHCO:
    def test_the_embedding_is_used_as_it_is_at_its_own_size(self):
        model, fve = HCO(4), torch.randn(4, 12, 16)
        nn.init.constant_(model.to_k.bias, 3.0)  # so that hardly any k is cut to 0, whose eigenvalue cannot be seen
        k = torch.relu(model.to_k(fve.permute(1, 2, 0)))
        lam = -torch.log(model.decay(fve, 12, 16)) / k.clamp_min(1e-12)
        assert lam[0, 0].abs().max() == 0
        seen = k[3, 5] > 1e-3
        want = (np.pi * 3 / 12) ** 2 + (np.pi * 5 / 16) ** 2
        assert seen.any()
        assert lam[3, 5][seen].tolist() == pytest.approx([want] * int(seen.sum()), rel=1e-3)

    def test_weights_that_change_in_eval_count_at_once(self):
        model, x, fve = HCO(4).eval(), torch.randn(1, 4, 8, 8), torch.randn(4, 8, 8)
        with torch.no_grad():
            before = model(x, fve)
            model.to_k.bias += 1.0  # what an EMA update does
            assert not torch.allclose(model(x, fve), before)

    def test_nothing_but_weights_is_stored(self):
        model, x, fve = HCO(4), torch.randn(1, 4, 8, 8), torch.randn(4, 8, 8)
        keys, attributes = set(model.state_dict()), set(vars(model))
        model(x, fve)
        for twin in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert set(twin.state_dict()) == keys
            assert set(vars(twin)) == attributes

    @pytest.mark.parametrize("size", [(64, 64), (32, 32)])
    @pytest.mark.parametrize(("dtype", "scale"), [(torch.bfloat16, 3e4), (torch.float16, 1e3)])
    def test_large_values_stay_finite_in_half_precision(self, size, dtype, scale):
        # The first DCT coefficient of a 64 x 64 map is 64 times its mean: beyond the range of float16 from 1024 on.
        model, fve = HeatBlock(16), torch.randn(16, 40, 40, requires_grad=True)
        x = (torch.randn(1, 16, *size) + 3).mul(scale / 4)
        with torch.autocast("cpu", dtype=dtype):
            y = model(x.to(dtype), fve)
        y.float().mean().backward()
        assert y.isfinite().all()
        assert all(p.grad.isfinite().all() for p in (fve, *model.parameters()))

    @pytest.mark.parametrize("size", [(64, 64), (32, 32)])
    def test_the_operator_survives_the_largest_float16_values(self, size):
        model, fve = HCO(8), torch.randn(8, 40, 40)
        nn.init.dirac_(model.dwconv.weight, groups=8)
        nn.init.zeros_(model.dwconv.bias)
        with torch.no_grad():
            model.in_proj.weight.copy_(torch.cat([torch.eye(8), torch.eye(8)]))
            model.in_proj.bias.zero_()
        x = torch.full((1, 8, *size), 3e4) + 100 * torch.randn(1, 8, *size)
        with torch.autocast("cpu", dtype=torch.float16):
            assert model(x.half(), fve).isfinite().all()

    def test_gradients_are_right(self):
        model = HCO(2).double()
        x, fve = torch.randn(1, 2, 3, 4).double().requires_grad_(), torch.randn(2, 2, 2).double().requires_grad_()
        assert torch.autograd.gradcheck(model, (x, fve))


class TestVHeatC2f:
    def test_is_not_a_stock_c2f(self):
        assert not issubclass(VHeatC2f, C2f)  # the exporter exchanges the forward of those

    @pytest.mark.parametrize("size", [(20, 20), (32, 42), (2, 26)])
    def test_runs_at_the_map_sizes_of_other_images(self, size):  # 320, 512x672 and 32x416 at stride 16
        model, x = VHeatC2f(8, 16, 1, 40).eval(), torch.randn(2, 8, *size)
        y = model(x)
        assert y.shape == (2, 16, *size)
        assert torch.allclose(y, torch.cat([model(x[:1]), model(x[1:])]), atol=1e-5)

    def test_blocks_share_one_embedding(self):
        model = VHeatC2f(8, 16, 3, (5, 7))
        assert [tuple(p.shape) for n, p in model.named_parameters() if "fve" in n] == [(8, 5, 7)]
        assert 0.01 < model.fve.std() < 0.03

    def test_half_checkpoint_keeps_the_basis_exact(self):
        model, x = VHeatC2f(8, 16, 2, 10).eval(), torch.randn(1, 8, 12, 10)
        want = model(x)
        again = pickle.loads(pickle.dumps(copy.deepcopy(model).half())).float()
        assert (dct_basis(12) @ dct_basis(12).T - torch.eye(12)).abs().max() < 1e-6
        assert not list(n for n, _ in again.named_buffers() if "bn" not in n)
        assert (again(x) - want).abs().max() < 0.02  # only the rounding of the weights


class TestExport:
    @staticmethod
    def graph(model: nn.Module, x: torch.Tensor, free: bool):
        import onnx
        import onnxslim

        for m in model.modules():
            if hasattr(m, "dynamic"):
                m.dynamic = free
        axes, buffer = {0: "batch", 2: "height", 3: "width"}, io.BytesIO()
        torch.onnx.export(
            model,
            x,
            buffer,
            opset_version=17,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes={"x": axes, "y": axes} if free else None,
            dynamo=False,
        )
        return onnxslim.slim(onnx.load_from_string(buffer.getvalue()))

    @staticmethod
    def worst(graph, model: nn.Module, x: torch.Tensor) -> float:
        import onnxruntime as ort

        session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        with torch.no_grad():
            return float(np.abs(session.run(None, {"x": x.numpy()})[0] - model(x).numpy()).max())

    def test_fixed_size_has_constants_only(self):
        model, x = VHeatC2f(8, 16, 2, 10).eval(), torch.randn(1, 8, 12, 14)
        graph = self.graph(model, x, free=False)
        kinds = {n.op_type for n in graph.graph.node}
        assert not kinds & {"Cos", "Exp", "Einsum", "Range", "Resize"}
        assert "MatMul" in kinds
        assert self.worst(graph, model, x) < 1e-5

    def test_free_size_runs_at_every_size(self):
        model = VHeatC2f(8, 16, 1, 10).eval()
        graph = self.graph(model, torch.randn(1, 8, 12, 14), free=True)
        for shape in [(1, 8, 12, 14), (2, 8, 10, 10), (1, 8, 40, 33)]:
            assert self.worst(graph, model, torch.randn(shape)) < 1e-4

    @pytest.mark.skipif(
        tuple(map(int, torch.__version__.split(".")[:2])) < (2, 8),
        reason="torch.export of PyTorch 2.6 cannot trace an OrderedDict; that of 2.8 can",
    )
    @pytest.mark.parametrize("warm", [False, True])
    def test_torch_export_leaves_no_trace(self, warm):
        model, x = VHeatC2f(8, 16, 1, 10).eval(), torch.randn(1, 8, 23 + warm, 14)  # sizes no other test uses
        if warm:
            model(x)
        program = torch.export.export(model, (x,))
        y = model(x)  # the basis kept for this size must not be one of export's fakes
        assert type(y) is torch.Tensor
        assert torch.allclose(program.module()(x), y, atol=1e-6)

    def test_the_switch_is_off_until_set(self):
        assert HCO.dynamic is False
        assert [m.dynamic for m in VHeatC2f(8, 16, 2).modules() if hasattr(m, "dynamic")] == [False, False]
