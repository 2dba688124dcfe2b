"""A model of this task as one function, whatever its backend: patches of raw numbers in, logits out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet import digest
from rsdet.errors import CheckpointError
from rsdet.runtime.graph import open_graph
from rsdet.tasks.landcover.patches import AT_ONCE


@dataclass(frozen=True)
class PatchClassifier:
    """See the module.

    Attributes:
        run: (N, C, p, p) float32 to logits (N, nc).
        names: Class number from 0 to name.
        said: What :func:`rsdet.tasks.landcover.model.described` says of the network.
        key: What tells it from all others.
        at_once: Patches that it is given, at most.
        exported: What runs it, where it is an exported file, whose graph takes all channels.
        components: Principal components; 0 where they are not known.
    """

    run: Callable[[np.ndarray], np.ndarray]
    names: Mapping[int, str]
    said: Mapping[str, Any]
    key: str
    at_once: int = AT_ONCE
    exported: str = ""
    components: int = 0
    fill: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def bands(self) -> int:
        """Bands of the cube."""
        return int(self.said["cube_bands"])

    @property
    def rasters(self) -> int:
        """Rasters of LiDAR."""
        return int(self.said["rasters"])

    @property
    def channels(self) -> int:
        """Both together."""
        return self.bands + self.rasters

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        return int(self.said["patch"])

    @property
    def does_without(self) -> bool:
        """Whether the rasters may be missing; in an exported graph they may not."""
        return bool(self.said["does_without"]) and not self.exported

    @property
    def scene(self) -> Mapping[str, Any]:
        """What the training knew of its scene; empty where there was none."""
        return self.said.get("scene") or {}

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Logits (n, nc) of n patches, ``at_once`` at most."""
        return self.run(x)


def opened(model: Any, device: Any = None) -> PatchClassifier:
    """The function of a network, of its weights or of an exported file.

    Args:
        model: :class:`~rsdet.tasks.landcover.model.LandCoverModel`, or a file.
        device: Where it runs; the CPU where None, of an exported file see :func:`rsdet.runtime.graph.open_graph`.

    Raises:
        CheckpointError: A file that cannot be used.
    """
    if isinstance(model, (str, Path)) and Path(model).suffix != ".pt":
        return _of_artifact(Path(model), device)
    import torch  # which exported files do without
    from ultralytics.nn.tasks import load_checkpoint
    from ultralytics.utils.torch_utils import unwrap_model

    from rsdet import checkpoint
    from rsdet.deploy.artifact import weights_sha256
    from rsdet.tasks.landcover.model import described

    if isinstance(model, (str, Path)):
        model = load_checkpoint(checkpoint.check(model))[0]
    device = device or "cpu"
    network = unwrap_model(model).to(device).float().eval()

    def run(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(x).to(device)).float().cpu().numpy()

    said = described(network)
    return PatchClassifier(
        run, network.names, said, weights_sha256(network), components=network.network.components,
        fill=np.array(said["fill"], np.float32),
    )  # fmt: skip


def _of_artifact(path: Path, device: Any) -> PatchClassifier:
    graph = open_graph(path, device)
    said, fill = graph.said, graph.said.get("fill")
    numbers = [said.get(k) for k in ("cube_bands", "rasters", "patch")]
    good = all(isinstance(n, int) and 0 <= n < 1 << 16 for n in numbers) and bool(said.get("names"))
    good = good and isinstance(fill, list) and len(fill) == numbers[0] + numbers[1]
    if not good or not all(isinstance(v, (int, float)) for v in fill):
        raise CheckpointError(f"{path} does not say how scenes are read for it; export it again.")
    return PatchClassifier(
        graph, said["names"], said, digest.digest(path), graph.shape[0] or AT_ONCE, graph.backend,
        fill=np.array(fill, np.float32),
    )  # fmt: skip
