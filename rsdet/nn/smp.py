"""Networks of segmentation-models-pytorch, with its encoders and those of timm, as networks of ours.

The package is optional (extra ``segment``) and imported when the first of its networks is built. No weights are fetched
then, whatever its own defaults are.
"""

from __future__ import annotations

import inspect
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from rsdet.bounds import bounded
from rsdet.errors import ConfigError, DataError, MissingDependencyError, install, nearest
from rsdet.nn.networks import network
from rsdet.nn.segmentation import SegmentationNetwork

__all__ = ["SMP"]

OURS = {"encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params"}  # set here


@network("SMP")
class SMP(SegmentationNetwork):
    """A network of segmentation-models-pytorch.

    A checkpoint holds its arguments and weights, not its layers: those are of many packages, and their classes may be
    named otherwise in a later release. It is built anew where one is read.

    Args:
        arch: Name of the architecture, such as ``unet``, ``deeplabv3plus``, ``segformer``.
        encoder: Name of the encoder; ``tu-`` and the name of a model for one of timm.
        options: Further arguments of the architecture's class, such as ``{encoder_depth: 4}``.
        weights: Weights to start the encoder from, such as ``imagenet``; downloaded when a training starts.
        channels: Channels of the image.
        nc: Number of classes.

    Raises:
        ConfigError: There is no such network.
        MissingDependencyError: The package is not installed.
    """

    def __init__(
        self,
        arch: str = "unet",
        encoder: str = "resnet34",
        options: dict[str, Any] | None = None,
        weights: str | None = None,
        channels: int = 3,
        nc: int = 1,
    ):
        super().__init__(channels, nc)
        self.arch, self.encoder, self.options, self.weights = arch, encoder, dict(options or {}), weights
        self.net = self._built()
        self._check()

    @property
    def multiple(self) -> int:
        """Height and width that the layers get are multiples of this, the stride of the encoder."""
        return int(self.net.encoder.output_stride)

    @property
    def in_channels(self) -> int:
        """Channels that the encoder takes."""
        return self.channels

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Maps of the encoder."""
        return tuple(self.net.encoder(x)[1:])  # the first is the image

    def decode(self, features: tuple[torch.Tensor, ...], x: torch.Tensor) -> torch.Tensor:
        """(B, nc, H, W) of an image (B, C, H, W)."""
        return self.net.segmentation_head(self.net.decoder([x, *features]))

    def load_pretrained(self) -> str | None:
        """Fetch the weights of the encoder.

        Raises:
            DataError: They cannot be fetched.
        """
        if self.weights is None:
            return None
        try:
            source = self._built(True if self.encoder.startswith("tu-") else self.weights)
        except OSError as e:
            raise DataError(
                f"weights={self.weights} of encoder={self.encoder} cannot be fetched ({_first_line(e)}); leave "
                "weights= out, or be online once."
            ) from e
        self.net.encoder.load_state_dict(source.encoder.state_dict())
        return f"encoder {self.encoder} from {self.weights}"

    def _built(self, weights: str | bool | None = None) -> nn.Module:
        smp = _package()
        archs = {k: v for k, v in smp.MODEL_ARCHITECTURES_MAPPING.items() if k != "dpt"}  # takes one size alone
        known = smp.encoders.encoders
        if self.arch not in archs:
            hint = nearest(str(self.arch), archs)
            raise ConfigError(f"arch must be one of {sorted(archs)}, received {self.arch!r}.{hint}")
        if self.encoder not in known and not _is_of_timm(self.encoder):
            raise ConfigError(
                f"encoder={self.encoder!r} is none of segmentation-models-pytorch, nor tu- and a model of timm."
                f"{nearest(str(self.encoder), known)} `smp.encoders.get_encoder_names()` and `timm.list_models()` list "
                "them."
            )
        parameters = inspect.signature(archs[self.arch]).parameters.values()
        allowed = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} - OURS  # others reach timm: paths, URLs
        for key in self.options:
            if key not in allowed:
                raise ConfigError(f"options of {self.arch} are {sorted(allowed)}, received {key!r}.")
        try:
            return smp.create_model(self.arch, self.encoder, weights, self.in_channels, self.nc, **self.options)
        except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as e:
            raise ConfigError(
                f"arch={self.arch} encoder={self.encoder} cannot be built with options={self.options} "
                f"({_first_line(e)}); choose others."
            ) from e

    def _check(self) -> None:
        """Make sure that the weights exist and that the encoder takes images of any size."""
        known = _package().encoders.encoders.get(self.encoder)
        if self.weights is not None and known is not None and self.weights not in known["pretrained_settings"]:
            raise ConfigError(
                f"weights of {self.encoder} are {sorted(known['pretrained_settings'])}, received {self.weights!r}."
            )
        try:
            with torch.no_grad():
                self.eval().net.encoder(torch.zeros(1, self.in_channels, 2 * self.multiple, 3 * self.multiple))
        except (AssertionError, RuntimeError, ValueError) as e:
            raise ConfigError(
                f"encoder={self.encoder} does not take images of any size ({_first_line(e)}); choose another."
            ) from e
        self.train()

    def __getstate__(self) -> dict[str, Any]:
        modules = {k: m for k, m in self._modules.items() if k != "net"}
        return {**self.__dict__, "_modules": modules, "_weights": dict(self.state_dict())}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({k: v for k, v in state.items() if k != "_weights"})
        with bounded(), torch.random.fork_rng(devices=[]):  # random weights that are not used draw no numbers
            self.net = self._built()
        self.load_state_dict(state["_weights"], assign=True)
        self.train(self.training)

    def __deepcopy__(self, memo: dict[int, Any]) -> SMP:
        new = type(self).__new__(type(self))
        memo[id(self)] = new
        new.__dict__.update(deepcopy(self.__dict__, memo))
        return new


def _package() -> Any:
    try:
        import segmentation_models_pytorch as smp
    except ModuleNotFoundError as e:
        raise MissingDependencyError(f"network: SMP needs segmentation-models-pytorch; {install('segment')}.") from e
    return smp


def _is_of_timm(encoder: Any) -> bool:
    """Whether it is ``tu-`` and a model that timm has the code of; names of its hub would be fetched."""
    import timm

    return isinstance(encoder, str) and encoder.startswith("tu-") and timm.is_model(encoder[3:])


def _first_line(e: BaseException) -> str:
    return (str(e).strip().splitlines() or [type(e).__name__])[0]
