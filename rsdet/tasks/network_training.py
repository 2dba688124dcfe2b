"""Training of networks that are classes (:mod:`rsdet.tasks.network_model`): what is the same whatever they learn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils.torch_utils import unwrap_model

from rsdet.tasks.loaders import to_device
from rsdet.tasks.training import SafeTrainer


class NetworkTrainer(SafeTrainer, BaseTrainer):
    """Trainer of a network that is a class, on data that Ultralytics has no reader for.

    Attributes:
        counted: What a batch is made of, at the head of its column: ``"Patches"``.
    """

    counted: ClassVar[str]

    def set_model_attributes(self) -> None:
        """What the checkpoint knows of the training."""
        self.model.names, self.model.args = self.data["names"], self.args

    def _setup_train(self) -> Any:
        self.args.multi_scale = 0.0
        result = super()._setup_train()
        unwrap_model(self.model).loss_share = 1 / max(self.world_size, 1)
        return result

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device."""
        return to_device(batch, self.device)

    def progress_string(self) -> str:
        """Head of the columns."""
        names = ("Epoch", "GPU_mem", *self.loss_names, self.counted, "Size")
        return ("\n" + "%11s" * len(names)) % names


def data_dict(data: str | Path, names: Mapping[int, str], channels: int) -> dict[str, Any]:
    """What Ultralytics' trainer and its callbacks want to know about a data set.

    Args:
        data: Path of the data YAML.
        names: Class number to name.
        channels: Of the input.
    """
    return {
        "train": "train", "val": "val", "test": "test", "names": dict(names), "nc": len(names), "channels": channels,
        "yaml_file": str(data),
    }  # fmt: skip
