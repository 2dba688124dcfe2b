"""HAC-MoE written out in float64 from its equations, and Algorithm 1 over three iterations beside the solver's.

Nothing of the package is used in the reference: networks are sums over taps and positions, spectra are sums of waves,
Adam is its two formulas. PyTorch gives the derivatives.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rsdet.blind.kernel_net import KernelNet
from rsdet.blind.settings import Settings
from rsdet.blind.skip_net import SkipNet
from rsdet.blind.solver import COLUMNS, Solver
from rsdet.blind.spectral_moe import MAMoE

Params = dict[str, torch.Tensor]

# --- the networks -----------------------------------------------------------------------------------------------------


def part(p: Params, prefix: str) -> Params:
    return {k[len(prefix) :]: v for k, v in p.items() if k.startswith(prefix)}


def mirrored(n: int, r: int) -> list[int]:
    """Places of a line of n with r more on both sides, reflected at the outermost elements."""
    return [abs(i) if i < n else 2 * (n - 1) - i for i in range(-r, n + r)]


def convolution(x: torch.Tensor, p: Params, stride: int = 1) -> torch.Tensor:
    """(C, H, W) with reflected borders; one term for each tap of the kernel."""
    weight, (_, h, w) = p["weight"], x.shape
    r = weight.shape[-1] // 2
    x = x[:, mirrored(h, r)][:, :, mirrored(w, r)] if r else x
    out = p["bias"][:, None, None]
    for a in range(2 * r + 1):
        for b in range(2 * r + 1):
            seen = x[:, a : a + h : stride, b : b + w : stride]
            out = out + (weight[:, :, a, b, None, None] * seen[None]).sum(1)
    return out


def norm(x: torch.Tensor, p: Params) -> torch.Tensor:
    """Batch norm by the statistics of this very picture."""
    mean = x.mean((1, 2), keepdim=True)
    variance = ((x - mean) ** 2).mean((1, 2), keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5) * p["weight"][:, None, None] + p["bias"][:, None, None]


def leaky(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def halved_by_maximum(x: torch.Tensor) -> torch.Tensor:
    cells = [x[:, a::2, b::2] for a in (0, 1) for b in (0, 1)]
    return torch.stack(cells).max(0).values


def non_local(x: torch.Tensor, p: Params) -> torch.Tensor:
    theta = convolution(x, part(p, "theta."))
    phi, g = (halved_by_maximum(convolution(x, part(p, f"{k}."))).flatten(1) for k in ("phi", "g"))
    columns = []
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            alike = (theta[:, i, j, None] * phi).sum(0)  # with each of N positions
            columns.append((alike[None] * g).sum(1) / phi.shape[1])
    y = torch.stack(columns, 1).reshape(-1, *x.shape[1:])
    return x + norm(convolution(y, part(p, "out.0.")), part(p, "out.1."))


def at_frequency(grid: torch.Tensor, fy: torch.Tensor, fx: torch.Tensor) -> torch.Tensor:
    """(..., 9, 5) grid over [-1/2, 1/2] x [0, 1/2], bilinear between the four nodes around each frequency."""
    y, x = ((fy + 0.5) * (grid.shape[-2] - 1))[:, None], (2 * fx * (grid.shape[-1] - 1))[None]
    i, j = y.long().clamp(max=grid.shape[-2] - 2), x.long().clamp(max=grid.shape[-1] - 2)
    y, x = y - i, x - j
    top = (1 - x) * grid[..., i, j] + x * grid[..., i, j + 1]
    below = (1 - x) * grid[..., i + 1, j] + x * grid[..., i + 1, j + 1]
    return (1 - y) * top + y * below


def mixture(x: torch.Tensor, p: Params) -> torch.Tensor:
    """Equations 2 to 4: gates from the mean of each channel, a mixed filter, applied to the spectrum."""
    c, h, w = x.shape
    pooled = x.sum((1, 2)) / (h * w)
    hidden = torch.relu(p["gate.0.weight"] @ pooled + p["gate.0.bias"])
    alpha = 1 / (1 + torch.exp(-(p["gate.2.weight"] @ hidden + p["gate.2.bias"])))
    mixed = sum(a * e for a, e in zip(alpha, p["experts"], strict=True))  # (2, C, 9, 5)
    rows, columns = torch.arange(h, dtype=x.dtype), torch.arange(w, dtype=x.dtype)
    u, v = rows, columns[: w // 2 + 1]
    filters = at_frequency(mixed, torch.where(u < (h + 1) // 2, u, u - h) / h, v / w)
    waves_y = torch.exp(-2j * math.pi * u[:, None] * rows / h)
    waves_x = torch.exp(-2j * math.pi * v[:, None] * columns / w)
    # Of a real picture, each frequency but the first and, of even widths, the last stands for its mirror too.
    twice = torch.tensor([1.0 if i in (0, w / 2) else 2.0 for i in range(w // 2 + 1)], dtype=x.dtype)
    out = []
    for channel in range(c):
        spectrum = waves_y @ x[channel].to(waves_y.dtype) @ waves_x.T
        filtered = spectrum * torch.complex(filters[0, channel], filters[1, channel])
        along = waves_y.conj().T @ filtered
        out.append(((along * twice) @ waves_x.conj()).real / (h * w))
    return torch.stack(out)


def doubled(x: torch.Tensor) -> torch.Tensor:
    """Bilinear, pixel centres at half: each new pixel lies a quarter from one old one."""

    def along(x: torch.Tensor) -> torch.Tensor:  # the last axis
        n = x.shape[-1]
        before, after = x[..., [max(i - 1, 0) for i in range(n)]], x[..., [min(i + 1, n - 1) for i in range(n)]]
        return torch.stack((0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after), -1).flatten(-2)

    return along(along(x).transpose(1, 2)).transpose(1, 2)


def level(x: torch.Tensor, p: Params, number: int, levels: int, non_local_from: int) -> torch.Tensor:
    skip = leaky(norm(convolution(x, part(p, "skip.0.")), part(p, "skip.1.")))
    y = leaky(norm(convolution(x, part(p, "down.0."), 2), part(p, "down.1.")))
    at = 3
    if number >= non_local_from:
        y, at = non_local(y, part(p, "down.3.")), 4
    y = leaky(norm(convolution(y, part(p, f"down.{at}.")), part(p, f"down.{at + 1}.")))
    if number < levels:
        y = level(y, part(p, "below."), number + 1, levels, non_local_from)
    y = norm(torch.cat((skip, doubled(y))), part(p, "up.0."))
    y = leaky(norm(convolution(y, part(p, "up.1.")), part(p, "up.2.")))
    y = leaky(norm(convolution(y, part(p, "up.4.")), part(p, "up.5.")))
    moe = part(p, "up.7.")
    return mixture(y, moe) if moe else y


def estimator(z: torch.Tensor, p: Params, levels: int = 5, non_local_from: int = 3) -> torch.Tensor:
    y = convolution(level(z, part(p, "body."), 1, levels, non_local_from), part(p, "last."))
    return 1 / (1 + torch.exp(-y))


def generator(z: torch.Tensor, p: Params) -> torch.Tensor:
    hidden = (p["body.0.weight"] @ z + p["body.0.bias"]).clamp(0, 6)
    e = torch.exp(p["body.2.weight"] @ hidden + p["body.2.bias"])
    side = math.isqrt(len(e))
    return (e / e.sum()).reshape(side, side)


def randomised(net: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    rng = torch.Generator().manual_seed(seed)
    net.double()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=rng, dtype=p.dtype) * (0.6 if p.ndim > 1 else 0.3))
    return net


@pytest.mark.parametrize("hw", [(8, 6), (7, 9)])
def test_ma_moe_is_equations_2_to_4(hw):
    moe = randomised(MAMoE(8, 3))
    x = torch.randn(1, 8, *hw, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(moe(x)[0], mixture(x[0], dict(moe.named_parameters())), atol=1e-10, rtol=1e-9)


@pytest.mark.parametrize(("levels", "non_local_from", "experts"), [(3, 2, 2), (2, 3, 0)])
def test_the_image_estimator_is_the_hourglass_of_the_paper(levels, non_local_from, experts):
    net = randomised(SkipNet(2, 4, 3, levels, experts, non_local_from))
    z = torch.rand(1, 2, 16, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    want = estimator(z[0], dict(net.named_parameters()), levels, non_local_from)
    torch.testing.assert_close(net(z)[0], want, atol=1e-10, rtol=1e-9)


def test_the_kernel_generator_is_a_perceptron_with_softmax():
    net = randomised(KernelNet(7, 5, 9))
    z = 10 * torch.randn(1, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))  # reaches the 6
    torch.testing.assert_close(net(z), generator(z[0], dict(net.named_parameters())), atol=1e-12, rtol=1e-9)


# --- Algorithm 1 ------------------------------------------------------------------------------------------------------


class Adam:
    def __init__(self, parameters: Params, rate: float):
        self.parameters, self.rate, self.t = parameters, rate, 0
        self.m = {k: torch.zeros_like(v) for k, v in parameters.items()}
        self.v = {k: torch.zeros_like(v) for k, v in parameters.items()}

    def step(self, loss: torch.Tensor) -> None:
        slopes = torch.autograd.grad(loss, list(self.parameters.values()))
        self.t += 1
        with torch.no_grad():
            for (k, p), g in zip(self.parameters.items(), slopes, strict=True):
                self.m[k] = 0.9 * self.m[k] + 0.1 * g
                self.v[k] = 0.999 * self.v[k] + 0.001 * g * g
                mean, square = self.m[k] / (1 - 0.9**self.t), self.v[k] / (1 - 0.999**self.t)
                p -= self.rate * mean / (torch.sqrt(square) + 1e-8)


def degraded(x: torch.Tensor, kernel: torch.Tensor, s: int) -> torch.Tensor:
    """Blur with circular borders, then every s-th pixel."""
    r, out = len(kernel) // 2, 0.0
    for a in range(-r, r + 1):
        for b in range(-r, r + 1):
            out = out + kernel[a + r, b + r] * torch.roll(x, (-a, -b), (1, 2))[:, ::s, ::s]
    return out


def one_minus_ssim(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    g = torch.tensor([math.exp(-(i**2) / (2 * 1.5**2)) for i in range(-5, 6)], dtype=a.dtype)
    g = torch.outer(g, g) / g.sum() ** 2
    total, places = 0.0, 0
    for i in range(a.shape[1] - 10):
        for j in range(a.shape[2] - 10):
            p, q = a[0, i : i + 11, j : j + 11], b[0, i : i + 11, j : j + 11]
            mp, mq = (g * p).sum(), (g * q).sum()
            vp, vq, cov = (g * (p - mp) ** 2).sum(), (g * (q - mq) ** 2).sum(), (g * (p - mp) * (q - mq)).sum()
            c1, c2 = 0.01**2, 0.03**2
            total = total + (2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2))
            places += 1
    return 1 - total / places


def descriptor(x: torch.Tensor) -> torch.Tensor:
    """The picture and its Sobel magnitude at four sizes, each of length one, the whole of length one."""
    x, parts = x[0], []
    for size in range(4):
        if size:
            x = (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4
        h, w = x.shape
        wide = x[[0, *range(h), h - 1]][:, [0, *range(w), w - 1]]
        rows = wide[:-2] + 2 * wide[1:-1] + wide[2:]
        columns = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
        dx, dy = (rows[:, 2:] - rows[:, :-2]) / 8, (columns[2:] - columns[:-2]) / 8
        for values in (x, torch.sqrt(dx**2 + dy**2 + 1e-8)):
            parts.append(values.flatten() / torch.sqrt((values**2).sum()))
    return torch.cat(parts) / math.sqrt(8)


def algorithm_1(y, z_x, z_k, image: Params, kernel_net: Params, kernels: list, s: Settings) -> dict:
    history = {k: v.detach().clone() for k, v in image.items()}
    image_adam, kernel_adam = Adam(image, s.image_lr), Adam(kernel_net, s.kernel_lr)
    h, w = y.shape[1] * s.upscale, y.shape[2] * s.upscale
    rows = []
    for _ in range(s.iters):
        drawn = [kernels.pop(0) for _ in range(s.samples)]
        kernel_adam.step(sum(((generator(z_k, kernel_net) - k) ** 2).mean() for k in drawn))  # Eq. 7
        kernel = generator(z_k, kernel_net).detach()
        steps = []
        for _ in range(s.inner):
            x = estimator(z_x, image)[:, :h, :w]

            def distance(y_hat: torch.Tensor, early: bool = len(rows) < s.ssim_steps) -> torch.Tensor:
                return one_minus_ssim(y_hat, y) if early else ((y_hat - y) ** 2).mean()

            then = descriptor(estimator(z_x, history)[:, :h, :w]).detach()
            loss = distance(degraded(x, kernel, s.upscale)) + s.theta_h * ((descriptor(x) - then) ** 2).sum()  # Eq. 8
            loss = loss + s.prior * sum(((x.diff(dim=d).abs() + 1e-6) ** 0.67).mean() for d in (1, 2))
            mse = float(((degraded(x, kernel, s.upscale) - y) ** 2).mean())
            image_adam.step(loss)
            high = (min(max(mse, s.loss_min), s.loss_max) - s.loss_min) / (s.loss_max - s.loss_min)
            alpha = s.alpha_max - high * (s.alpha_max - s.alpha_min)  # Eq. 11
            for k in history:
                history[k] = alpha * history[k] + (1 - alpha) * image[k].detach()  # Eq. 12
            rows.append((float(loss), mse, alpha))
            steps.append((float(loss), x.detach(), distance))
        lowest = min(loss for loss, _, _ in steps)
        total = sum(loss - lowest for loss, _, _ in steps)
        meta = 0.0
        for loss, x, distance in steps:  # Eq. 9 and 10
            pi = (loss - lowest) / (total + 1e-5)
            omega = max(-((1 - pi) ** 2) * math.log(pi + 1e-3), 0.0)
            meta = meta + omega * distance(degraded(x, generator(z_k, kernel_net), s.upscale)) / len(steps)
        kernel_adam.step(meta)
    return {"rows": rows, "history": history}


def test_three_iterations_of_algorithm_1():
    settings = Settings(
        upscale=2, iters=3, inner=2, samples=2, warmup=0, image_lr=0.01, kernel_lr=0.02, theta_h=0.3, prior=0.01,
        ssim_steps=3, stop_factor=0.0, alpha_min=0.3, alpha_max=0.9, loss_min=1e-3, loss_max=0.2, channels=4, skip=2,
        experts=2, kernel_px=5, kernel_inputs=6, kernel_hidden=8, pad="circular",
    )  # fmt: skip
    rng = np.random.default_rng(0)
    lr = rng.random((16, 16, 1), np.float32)
    solver = Solver(lr, settings, seed=4)
    for net in (solver.image_net, solver.kernel_net, solver.history.network):
        net.double()
    solver.y, solver.z_x, solver.z_k = solver.y.double(), solver.z_x.double(), solver.z_k.double()
    kernels = [k / k.sum() for k in rng.random((settings.iters * settings.samples, 5, 5))]
    queue = list(kernels)
    solver.sampler.sample = lambda: queue.pop(0)

    def own(net: torch.nn.Module) -> Params:
        return {k: v.detach().clone().requires_grad_() for k, v in net.named_parameters()}

    image, kernel_net = own(solver.image_net), own(solver.kernel_net)
    want = algorithm_1(
        solver.y[0], solver.z_x[0], solver.z_k[0], image, kernel_net, [torch.from_numpy(k) for k in kernels], settings
    )
    solver.run()

    found = [tuple(row[COLUMNS.index(c)] for c in ("total", "mse", "alpha")) for row in solver.rows]
    np.testing.assert_allclose(found, want["rows"], rtol=1e-6)
    alphas = [row[2] for row in want["rows"]]
    assert 0.3 < min(alphas) < max(alphas) < 0.9  # neither end of Eq. 11
    for wanted, net in (
        (image, solver.image_net),
        (kernel_net, solver.kernel_net),
        (want["history"], solver.history.network),
    ):
        for name, p in net.named_parameters():
            torch.testing.assert_close(
                p.detach(), wanted[name].detach(), atol=1e-6, rtol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
            )
