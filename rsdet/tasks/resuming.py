"""A resumed training goes on as if nothing had stopped it: the same weights and the same table as without the stop.

Nothing random has a state that must be kept: the trainer draws from (seed, epoch), and so does each sample, whose index
carries the epoch because workers that prefetch are ahead of the trainer. What must be kept Ultralytics keeps in half
precision or not at all; ``last.pt`` holds it exactly, as plain tensors, inside the state of the optimizer: PyTorch lets
others add to that, and Ultralytics takes it out of the checkpoints when the training has ended.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from ultralytics.utils import RANK
from ultralytics.utils.torch_utils import unwrap_model

from rsdet.errors import CheckpointError
from rsdet.writing import write_text

KEY = "rsdet"


def seed_of(*numbers: int) -> int:
    """One seed of 32 bits from several whole numbers."""
    return int(np.random.SeedSequence([n % 2**32 for n in numbers]).generate_state(1)[0])


@contextmanager
def drawing_from(*numbers: int) -> Iterator[None]:
    """Let all that draws at random on the CPU depend on these numbers alone; what draws outside goes on as it was."""
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    seed = seed_of(*numbers)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (here and above: what Ultralytics' augmentations draw from)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed the GPU, where the model draws
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(cpu)


class Passes:
    """A sampler whose indices count on from epoch to epoch, and whose order depends on seed and epoch alone.

    Args:
        sampler: Gives the indices 0 to ``n - 1`` in some order.
        n: Samples of the dataset.
        seed: Of the order.

    Attributes:
        epoch: Number of the next pass.
    """

    def __init__(self, sampler: Any, n: int, seed: int):
        self.sampler, self.n, self.seed, self.epoch = sampler, n, seed, 0

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[int]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        if getattr(self.sampler, "generator", None) is not None:
            self.sampler.generator.manual_seed(seed_of(self.seed, RANK, epoch))
        elif hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)
        return iter([epoch * self.n + i for i in self.sampler])

    def set_epoch(self, epoch: int) -> None:
        """Nothing to do: a loader that prefetches begins a pass before the trainer does."""


def count_passes(loader: Any, seed: int) -> Any:
    """Let a loader of Ultralytics draw its indices from :class:`Passes`."""
    passes = Passes(loader.sampler, len(loader.dataset), seed)
    object.__setattr__(loader, "sampler", passes)  # PyTorch forbids it because a batch sampler would not follow
    loader.batch_sampler.sampler.sampler = passes
    return loader


class ExactResume:
    """Mixed in before one of Ultralytics' trainers; the sampler of its loader has an ``epoch``, the next pass."""

    _accumulate = 1
    _shift = 0  # batches to add to `accumulate` until the first step
    _waiting = 0  # batches since the last step
    _repeated = 0  # epochs that were begun anew after a loss that was not finite
    _exact: dict[str, Any] | None = None

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.add_callback("on_train_batch_start", _count_batch)

    @property
    def accumulate(self) -> int:
        """Batches for a step. Ultralytics counts them from the start; a resumed training counts from the last step."""
        return self._accumulate + self._shift

    @accumulate.setter
    def accumulate(self, n: int) -> None:
        self._accumulate = n

    def _build_train_pipeline(self) -> None:
        super()._build_train_pipeline()  # at the start, and once more where the batch was too large for the memory
        self.train_loader.sampler.epoch = self.start_epoch + self._repeated

    def count_step(self) -> None:
        """To be called by each step, whether it is taken or left out."""
        self._waiting = self._shift = 0

    def _model_train(self) -> None:
        """What Ultralytics calls at the start of each epoch."""
        super()._model_train()
        seed = seed_of(self.args.seed, RANK, self.epoch + self._repeated)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        if self._exact is not None:  # only now: gradients are set to zero once everything else is set up
            self._waiting = self._exact["waiting"]
            self._shift = len(self.train_loader) * self.epoch - self._waiting
            for p, grad in zip(self.model.parameters(), self._exact["gradients"], strict=False):
                p.grad = None if grad is None else grad.to(p.device)
            self._exact = None

    def _close_dataloader_mosaic(self) -> None:
        """Close it; the loader begins its pass anew after this."""
        super()._close_dataloader_mosaic()
        self.train_loader.sampler.epoch = self.epoch + self._repeated

    def _handle_nan_recovery(self, epoch: int) -> bool:
        again = super()._handle_nan_recovery(epoch)
        self._repeated += bool(again)
        return again

    def save_model(self) -> bool:
        """Save as Ultralytics does, with the exact state."""
        hook = self.optimizer.register_state_dict_post_hook(lambda _, d: {**d, KEY: self.exact_state(d)})
        try:
            return super().save_model()
        finally:
            hook.remove()

    def exact_state(self, optimizer: dict[str, Any]) -> dict[str, Any]:
        """Tensors and plain values that :meth:`resume_training` goes on from.

        Args:
            optimizer: State of the optimizer. Its tensors are not copied: a file holds each once.
        """
        return {
            "model": {k: v.cpu() for k, v in unwrap_model(self.model).state_dict().items()},
            "ema": {k: v.cpu() for k, v in self.ema.ema.state_dict().items()},
            "optimizer": {k: dict(v) for k, v in optimizer["state"].items()},
            "gradients": [p.grad for p in self.model.parameters()] if self._waiting else [],
            "waiting": self._waiting,
            "repeated": self._repeated,
            "loss_names": list(self.loss_names),
            "metrics": {k: float(v) for k, v in self.metrics.items()},
            "fitness": None if self.fitness is None else float(self.fitness),
            "possible_stop": bool(self.stopper.possible_stop),
            "table": self.csv.read_text(encoding="utf-8") if self.csv.is_file() else None,
        }

    def resume_training(self, ckpt: dict[str, Any] | None) -> None:
        """Go on from a checkpoint as Ultralytics does, and from the exact state where it has one.

        Raises:
            CheckpointError: What it holds is no state of such a training.
        """
        if ckpt is None or not self.resume:
            super().resume_training(ckpt)
            return
        try:
            super().resume_training(ckpt)
            self._take_exact(ckpt)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as e:
            why = " ".join(str(e).split())[:160] or type(e).__name__
            raise CheckpointError(
                f"{self.args.resume} holds no state that a training can go on from ({why}); leave resume= out to start "
                "anew from its weights, or copy it again."
            ) from e

    def _take_exact(self, ckpt: dict[str, Any]) -> None:
        exact = (ckpt.get("optimizer") or {}).get(KEY)
        numbers = [self.best_fitness or 0, self.ema.updates]
        if exact is not None:
            numbers += [exact["waiting"], exact["repeated"], exact["fitness"] or 0]
            tensors = [g for g in exact["gradients"] if g is not None]
            if not all(isinstance(g, torch.Tensor) for g in tensors) or not isinstance(exact["table"], str | None):
                raise TypeError("gradients or table of another kind")
        if not all(isinstance(n, int | float) for n in numbers):
            raise TypeError("text in the place of a number")
        if exact is not None:
            unwrap_model(self.model).load_state_dict(exact["model"])
            self.ema.ema.load_state_dict(exact["ema"])
            self.optimizer.load_state_dict({**ckpt["optimizer"], "state": exact["optimizer"]})
            self._repeated, self._exact = exact["repeated"], exact
            self.loss_names, self.fitness = tuple(exact["loss_names"]), exact["fitness"]
            self.metrics = dict(exact["metrics"])
            self.stopper.possible_stop = exact["possible_stop"]
            if RANK in {-1, 0} and exact["table"] is not None:
                write_text(self.csv, exact["table"])  # a run that was killed before its checkpoint has a row too many
        self.train_loader.sampler.epoch = self.start_epoch + self._repeated


def _count_batch(trainer: ExactResume) -> None:
    trainer._waiting += 1
