"""Algorithm 1 of HAC-MoE: an image estimator and a kernel generator are fitted to one picture in turns.

Each of N outer steps draws kernels for the generator to learn from (Eq. 7), fits the image estimator by P steps with
the kernel held still (Eq. 8), and corrects the generator by the weighted losses of these steps (Eq. 9 and 10).

Source: Zhao et al., HAC-MoE, arXiv 2511.20045. What it does not print follows DDSR and MLMC, which it modifies: 200
warm-up steps of the generator, 1 - SSIM instead of the squared error in the first steps. Its learning rate of 0.5 for
the generator turns the kernel into a single impulse within 50 steps of Adam; 1e-4 is what DDSR and MLMC use.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rsdet.blind import checkpoint as checkpoints
from rsdet.blind.features import build_encoder, feature_distance
from rsdet.blind.forward import blur_decimate, gradient_prior, noise_sigma, ssim_distance
from rsdet.blind.history import History, history_momentum, meta_weights
from rsdet.blind.kernel_net import KernelNet
from rsdet.blind.progress import EARLY, FINISHED, INTERRUPTED, NOISE, TIME, TOLD, Callback, Clock, Progress
from rsdet.blind.sampling import KernelSampler
from rsdet.blind.settings import Settings
from rsdet.blind.skip_net import SkipNet, inner_size

COLUMNS = ("outer", "inner", "total", "mse", "history", "alpha", "kernel", "seconds")


@dataclass
class Fit:
    """Outcome of :meth:`Solver.run`.

    Attributes:
        image: (C, s * h, s * w) float32 in [0, 1].
        kernel: (K, K) float32.
        rows: One tuple per inner step, by :data:`COLUMNS`.
        stopped: ``finished``, ``noise level`` (fits as well as the noise allows), or why it ended early: ``time
            limit``, ``told to``, ``interrupted``.
    """

    image: np.ndarray
    kernel: np.ndarray
    rows: list[tuple[float, ...]]
    stopped: str


class Solver:
    """One fit of one picture.

    Args:
        lr: (h, w, C) float32 in [0, 1].
        settings: All constants.
        seed: Same seed, same result on the same CPU and thread count.
        device: Where the networks run.
        kernel: (K, K) to hold still; None estimates it.
        where: Number of this tile and of all, for progress.
    """

    def __init__(
        self,
        lr: np.ndarray,
        settings: Settings,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
        kernel: np.ndarray | None = None,
        where: tuple[int, int] = (1, 1),
    ):
        self.set, self.seed, self.device, self.where = settings, seed, torch.device(device), where
        self.y = torch.from_numpy(np.ascontiguousarray(lr.transpose(2, 0, 1)))[None].to(self.device)
        self.size = tuple(n * settings.upscale for n in lr.shape[:2])
        sigma = settings.noise_sigma or noise_sigma(lr)
        self.enough = (settings.stop_factor * sigma) ** 2  # mean squared error
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):  # whoever calls keeps his random numbers
            torch.manual_seed(seed)
            self.image_net = SkipNet(
                lr.shape[2], settings.channels, settings.skip, experts=settings.experts,
                non_local_from=settings.non_local_from,
            ).to(self.device)  # fmt: skip
            self.kernel_net = KernelNet(settings.kernel_side, settings.kernel_inputs, settings.kernel_hidden).to(
                self.device
            )
            self.z_x = 0.1 * torch.rand(1, lr.shape[2], *inner_size(*self.size)).to(self.device)
            self.z_k = 0.1 * torch.rand(1, settings.kernel_inputs).to(self.device)
        self.fixed = None if kernel is None else torch.from_numpy(np.asarray(kernel, np.float32)).to(self.device)
        self.sampler = KernelSampler(
            settings.upscale, np.random.default_rng(seed), size=settings.kernel_side, align=settings.align,
            axes=settings.axes, wide=settings.wide, contrastive=settings.cks, tau=settings.tau, s_max=settings.s_max,
            s_min=settings.s_min, queue=settings.queue, tries=settings.tries,
        )  # fmt: skip
        self.encoder = None
        if settings.theta_h:
            weights = settings.clip_weights, settings.clip_model
            self.encoder = build_encoder(settings.feature, self.device, *weights)
        self.history = History(self.image_net) if self.encoder is not None or settings.output == "ema" else None
        self.image_adam = torch.optim.Adam(self.image_net.parameters(), settings.image_lr, fused=True)
        self.kernel_adam = torch.optim.Adam(self.kernel_net.parameters(), settings.kernel_lr, fused=True)
        self.warmed = self.outer = 0
        self.rows: list[tuple[float, ...]] = []
        self.best: tuple[float, torch.Tensor, torch.Tensor] | None = None  # residual, image, kernel
        self.latest: tuple[torch.Tensor, torch.Tensor] | None = None
        self.clock, self.callback = Clock(), None

    def run(
        self,
        progress: Callback | None = None,
        *,
        limit_s: float | None = None,
        checkpoint: Path | None = None,
        every: int = 10,
    ) -> Fit:
        """Fit until done.

        Args:
            progress: Called after each step; False as its answer ends the fit with what there is.
            limit_s: Seconds after which the fit ends with what there is.
            checkpoint: File to go on from if it exists, and to write to.
            every: Outer steps between two checkpoints.

        Raises:
            CheckpointError: The checkpoint is of another picture or of other settings.
        """
        self.clock, self.callback = Clock(limit_s), progress
        if checkpoint is not None and Path(checkpoint).is_file():
            checkpoints.load(self, Path(checkpoint))
        try:
            stopped = self._warm_up() if self.fixed is None else ""
            # One image step at least: without it there would be nothing to give back.
            while (not stopped or self.latest is None) and self.outer < self.set.iters:
                stopped = self._outer_step(stopped)
                # A step that was cut short is not written: going on from it would not repeat what would have been.
                last = stopped == NOISE or self.outer == self.set.iters
                if checkpoint is not None and (last or (not stopped and self.outer % every == 0)):
                    checkpoints.save(self, Path(checkpoint))
        except KeyboardInterrupt:
            if self.latest is None:
                raise
            stopped = INTERRUPTED
        return self._result(stopped or FINISHED)

    def _warm_up(self) -> str:
        while self.warmed < self.set.warmup:
            self._learn_kernels(1)
            self.warmed += 1
            told = self._told("kernel", self.warmed, self.set.warmup, None)
            if told or self.clock.is_over:
                return TOLD if told else TIME
        return ""

    def _learn_kernels(self, count: int) -> float:
        """One step of Eq. 7 on ``count`` sampled kernels."""
        if not count:
            return 0.0
        targets = torch.from_numpy(np.stack([self.sampler.sample() for _ in range(count)])).to(self.device)
        loss = (self.kernel_net(self.z_k) - targets).square().mean((1, 2)).sum()
        self._step(self.kernel_adam, loss)
        return loss.item()

    def _outer_step(self, stopped: str) -> str:
        kernel_loss = 0.0
        if self.fixed is None:
            kernel_loss = self._learn_kernels(self.set.samples)
            with torch.no_grad():
                kernel = self.kernel_net(self.z_k)
        else:
            kernel = self.fixed
        images, losses, distances = [], [], []
        for p in range(self.set.inner):
            total, distance, x = self._inner_step(kernel, p, kernel_loss)
            images.append(x)
            losses.append(total)
            distances.append(distance)
            step, steps = self.outer * self.set.inner + p + 1, self.set.iters * self.set.inner
            told = self._told("image", step, steps, self.rows[-1][3])
            if told or self.clock.is_over or stopped:
                return TOLD if told else stopped or TIME
        if self.fixed is None:
            live = self.kernel_net(self.z_k)
            terms = torch.stack([d(self._blur(x, live)) for d, x in zip(distances, images, strict=True)])
            self._step(self.kernel_adam, (meta_weights(losses).to(terms) * terms).mean())
        self.outer += 1
        fitted = [row[3] for row in self.rows[-self.set.inner :]]
        return NOISE if len(self.rows) > self.set.ssim_steps and np.mean(fitted) < self.enough else ""

    def _inner_step(self, kernel: torch.Tensor, p: int, kernel_loss: float) -> tuple[float, Any, torch.Tensor]:
        """One step of Eq. 8; gives the loss, the form of its data term and the picture it was taken at."""
        x = self._crop(self.image_net(self.z_x))
        y_hat = self._blur(x, kernel)
        early = len(self.rows) < self.set.ssim_steps
        distance = self._one_minus_ssim if early else self._squared
        loss = distance(y_hat)
        past = x.new_zeros(())
        if self.encoder is not None:
            with torch.no_grad():
                then = self.encoder(self._crop(self.history(self.z_x)))
            past = self.set.theta_h * feature_distance(self.encoder(x), then)
            loss = loss + past
        if self.set.prior:
            loss = loss + self.set.prior * gradient_prior(x)
        self._step(self.image_adam, loss)
        x, mse = x.detach(), self._squared(y_hat.detach()).item()
        alpha = history_momentum(mse, (self.set.alpha_min, self.set.alpha_max), (self.set.loss_min, self.set.loss_max))
        if self.history is not None:
            self.history.update(self.image_net, alpha)
        self.latest = (x, kernel)
        if self.best is None or mse < self.best[0]:
            self.best = (mse, x, kernel)
        self.rows.append((self.outer, p, loss.item(), mse, past.item(), alpha, kernel_loss, self.clock.seconds))
        return loss.item(), distance, x

    def _squared(self, y_hat: torch.Tensor) -> torch.Tensor:
        return (self.y - y_hat).square().mean()

    def _one_minus_ssim(self, y_hat: torch.Tensor) -> torch.Tensor:
        return ssim_distance(y_hat, self.y)

    def _blur(self, x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        return blur_decimate(x, kernel, self.set.upscale, self.set.pad)

    def _crop(self, x: torch.Tensor) -> torch.Tensor:
        return x[..., : self.size[0], : self.size[1]]

    @staticmethod
    def _step(adam: torch.optim.Adam, loss: torch.Tensor) -> None:
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()

    def _told(self, stage: str, step: int, steps: int, residual: float | None) -> bool:
        """Report progress; whether the answer is to stop, which is anything false but None."""
        if self.callback is None:
            return False
        left = None if residual is None else self.clock.seconds_left(step, steps)
        answer = self.callback(Progress(stage, step, steps, residual, self.clock.seconds, left, *self.where))
        return answer is not None and not answer

    def _result(self, stopped: str) -> Fit:
        # After an early end the newest picture may be in the middle of a bad step; the best one is not.
        early = stopped in EARLY
        image, kernel = self.best[1:] if early or self.set.output == "best" else self.latest
        if self.set.output == "ema":
            image = self._crop(self.history(self.z_x))
        return Fit(image[0].cpu().numpy(), kernel.cpu().numpy(), list(self.rows), stopped)
