"""A detector and the networks before it as one model, so that the detector's loss reaches the enhancer.

``rsdet train model=DETECTOR enhance=ENHANCER`` builds the networks into the detector (``enhance:`` of its YAML). From
then on they are part of it: of its weights, its checkpoint, its export and its speed. They work on what the detector
gets, pictures at its input size, letterboxed and augmented; a chain before a detector (``rsdet predict ... enhance=``)
works on the pictures as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rsdet.enhance.loading import load_chain
from rsdet.errors import ConfigError
from rsdet.nn.networks import build_network
from rsdet.nn.restoration import RestorationNetwork

WORDS = ("detector", "enhancer")


def read_freeze(kwargs: Mapping[str, Any], rows: int, joint: bool) -> dict[str, Any]:
    """``freeze=detector`` and ``freeze=enhancer`` in terms that a trainer knows; numbers of rows are left as they are.

    Args:
        kwargs: Arguments of a training.
        rows: Rows of the detector.
        joint: There is an enhancer in it, or will be.

    Raises:
        ConfigError: Another word, or nothing to freeze.
    """
    freeze = kwargs.get("freeze")
    if not isinstance(freeze, str):
        return dict(kwargs)
    if freeze not in WORDS or not joint:
        remedy = f"{' or '.join(WORDS)} with enhance=" if not joint else " or ".join(WORDS)
        raise ConfigError(f"freeze={freeze!r} must be layer numbers, counted from 0, or {remedy}; e.g. freeze=0,2.")
    rest = {k: v for k, v in kwargs.items() if k != "freeze"}
    return {**rest, "freeze": list(range(rows))} if freeze == "detector" else {**rest, "freeze_enhancer": True}


def check_spec(spec: Any) -> None:
    """Make sure that ``enhance=`` of a training can be written into its arguments.

    Raises:
        ConfigError: Objects instead of files.
    """
    each = spec if isinstance(spec, (list, tuple)) else [spec]
    if not each or not all(isinstance(s, str) and s.strip() for s in each):
        raise ConfigError(
            f"enhance={spec!r} of a training must be names or files of task=restore (rsdet list weights)."
        )


def joint_networks(spec: Any, channels: int) -> tuple[list[dict[str, Any]], list[nn.Module]]:
    """Load what shall be trained together with a detector.

    Args:
        spec: What stands after ``enhance=``.
        channels: Channels of the detector.

    Returns:
        What the detector's YAML says of the networks, and the networks.

    Raises:
        ConfigError: A part that is no PyTorch network, enlarges, or takes other channels.
    """
    chain = load_chain(spec, untrained=True)
    chain.check_detector(channels)
    sections, networks = [], []
    for part in chain.parts:
        e = part.enhancer
        if not hasattr(e, "network"):
            raise ConfigError(
                f"enhance={e.name} is no PyTorch network and cannot be trained together with a detector; write the "
                f"enhanced pictures (rsdet predict model={part.source or e.name} source=...) and train on those."
            )
        if e.scale != 1:
            raise ConfigError(
                f"enhance={e.name} enlarges x{e.scale}; trained together are networks that keep the size; enlarge the "
                "pictures first (rsdet predict), or leave enhance= to predict and val."
            )
        spec_of = e.yaml
        sections.append({"network": spec_of["network"], "args": spec_of.get("args") or {}, "kind": e.kind})
        networks.append(e.network)
    return sections, networks


def build_joint(section: Mapping[str, Any]) -> JointEnhancer:
    """Build the networks that ``enhance:`` of a detector's YAML names.

    Raises:
        ConfigError: No such network.
    """
    if not isinstance(section, Mapping) or not section.get("networks"):
        raise ConfigError(f"enhance: in the model YAML must name networks:, received {section!r}; mend the file.")
    networks = [build_network(n["network"], n.get("args"), RestorationNetwork) for n in section["networks"]]
    return JointEnhancer(networks, bool(section.get("frozen")))


class JointEnhancer(nn.Sequential):
    """Networks that keep the size, one after the other, (B, C, H, W) in [0, 1] to the same.

    Args:
        networks: The networks.
        frozen: They are not trained.
    """

    def __init__(self, networks: list[nn.Module], frozen: bool = False):
        super().__init__(*networks)
        self.frozen = frozen

    def train(self, mode: bool = True) -> JointEnhancer:
        """Set the mode; frozen networks stay as they are used."""
        return super().train(mode and not self.frozen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Enhance; without gradients where frozen, so that no optimizer touches the weights."""
        if not self.frozen:
            return super().forward(x)
        with torch.no_grad():
            return super().forward(x)


def taken_over(model: nn.Module, networks: list[nn.Module]) -> int:
    """Copy weights into the networks of a detector; returns their number."""
    for mine, theirs in zip(model.enhancer, networks, strict=True):
        mine.load_state_dict(theirs.float().state_dict())
    return sum(p.numel() for p in model.enhancer.parameters())


def spec_text(spec: Any) -> Any:
    """``enhance=`` in a form that arguments files hold: text, or a list of texts."""
    if isinstance(spec, Path):
        return str(spec)
    return [str(s) if isinstance(s, Path) else s for s in spec] if isinstance(spec, (list, tuple)) else spec
