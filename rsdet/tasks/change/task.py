"""The task ``change``: what has changed between two dates of one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsdet.tasks.network_task import OF_DETECTORS
from rsdet.tasks.semantic.task import MapTask

if TYPE_CHECKING:
    from rsdet.deploy.runners import Runner

STOCK_KEYS = {
    "predict": frozenset({"imgsz", "batch", "source", "save"}),
    "val": frozenset({"imgsz", "batch", "data", "split", "plots"}),
    "export": frozenset(),
}  # fmt: skip
# The recipe of SSA-Net's paper, where it says something; a step of the optimizer after each batch.
USUAL: dict[str, Any] = {
    "optimizer": "Adam", "lr0": 1e-4, "weight_decay": 5e-4, "momentum": 0.9, "batch": 8, "epochs": 200,
    "warmup_epochs": 0.0, "fliplr": 0.5, "flipud": 0.5, "mosaic": 0.0, "close_mosaic": 0, "patience": 0, "amp": False,
    "imgsz": 256,
}  # fmt: skip


class Change(MapTask):
    """Maps of changed pixels by networks that see both dates, stacked along the channels."""

    name = "change"
    about = "what has changed between two dates: buildings new and gone"
    families = ("network",)
    imgsz = 256
    used_keys = STOCK_KEYS
    unused_keys = OF_DETECTORS
    light = "rsdet.tasks.change.runtime.cli"
    end_to_end = "pairs of image files to maps of changes"

    def classes(self, family: str) -> dict[str, Any]:
        """Model, trainer, validator and predictor."""
        from rsdet.tasks.change.model import ChangeModel
        from rsdet.tasks.change.predict import ChangePredict
        from rsdet.tasks.change.train import ChangeTrain
        from rsdet.tasks.change.val import ChangeVal

        return {"model": ChangeModel, "trainer": ChangeTrain, "validator": ChangeVal, "predictor": ChangePredict}

    def usual(self, mode: str, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """The recipe of the paper; pictures are never stretched to a rectangle, and a CPU gets one tile at a time."""
        if mode != "train":
            import torch

            gpu = torch.cuda.is_available() and str(given.get("device")) != "cpu"
            one = {} if gpu else {"batch": 1}  # more are no faster there, and each takes 80 MiB at 256 px
            return {"rect": False, "imgsz": self._trained_side(model), **one}
        return {**USUAL, "nbs": int(given.get("batch") or USUAL["batch"])}

    def _trained_side(self, model: Any) -> Any:
        """Side of the windows that the network has learnt from."""
        side = model.overrides.get("imgsz") or self.imgsz
        return side if isinstance(side, int) else min(side)  # an exported file says height and width

    def outcome(self, images: int, items: int) -> str:
        """Say how many pairs were compared, and how many regions have changed."""
        return f"{images} pair{'s' * (images != 1)} compared, {items} changed region{'s' * (items != 1)}"

    # -- deployment -----------------------------------------------------------------------------------------------

    def sample(self, model: Any, size: tuple[int, int], images: Sequence[Any] | None) -> list[Any]:
        """Pairs (H, W, 2 * bands) uint8."""
        from rsdet.tasks.change.samples import sample_pairs

        return sample_pairs(model, size, images)

    def preprocess_rule(self, module: Any) -> str:
        """Tiles of both dates."""
        return (
            "a tile of imgsz of both dates (pad 114), bands in the order of the files (RGB), the earlier date first, "
            "divide by 255, CHW float"
        )

    # -- benchmark ------------------------------------------------------------------------------------------------

    def preprocess(self, inputs: Sequence[Any], spec: Mapping[str, Any], size: tuple[int, int]) -> Any:
        """A tile of the size of the input out of each pair, from its upper left corner."""
        from rsdet.runtime.geometry import to_input
        from rsdet.tasks.change.samples import cut

        return to_input([cut(x, size) for x in inputs])

    def read(self, file: Path, spec: Mapping[str, Any]) -> Any:
        """A pair (H, W, 2 * bands) uint8, from a folder that holds both dates."""
        from rsdet.tasks.change.samples import read_folder

        return read_folder(file, spec)

    def pipeline(
        self, run: Runner, spec: Mapping[str, Any], size: tuple[int, int], chain: Any = None
    ) -> Callable[[Sequence[Path]], Any]:
        """Decode both dates, and compare them in tiles of the input's size."""
        from rsdet.tasks.change.samples import compared_files

        return lambda files: compared_files(run, files, spec, size)

    def pictures(self, data: str | Path, spec: Mapping[str, Any], folder: Path, most: int) -> list[Path]:
        """Pairs of the validation split, in a folder each."""
        from rsdet.tasks.change.samples import pair_folders

        return pair_folders(self.resolve_data(data), folder, most)

    def draw(self, model: Any, file: Path, spec: Mapping[str, Any], size: tuple[int, int]) -> Any:
        """Both dates with what was found."""
        from rsdet.tasks.change.samples import drawn

        return drawn(model, file, spec, size)


TASK = Change()
