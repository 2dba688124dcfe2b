"""Prediction of what restores pictures: files in, files of the same depth and place out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ultralytics.utils.torch_utils import select_device

from rsdet.enhance.artifact import ArtifactEnhancer
from rsdet.errors import ConfigError
from rsdet.tasks.predicting import FilePredictor
from rsdet.tasks.restore.results import RestoreResults
from rsdet.tasks.restore.routes import check_flag, routed_network, write_routes
from rsdet.tasks.restore.run import RestoreRun
from rsdet.tasks.restore.running import runner_of
from rsdet.tasks.restore.source import find
from rsdet.tasks.runs import asked_device


class RestorePredict(FilePredictor):
    """Predictor of the task ``restore``."""

    def setup_model(self, model: Any, verbose: bool = True) -> None:
        """Take the model."""
        self.device = select_device(self.args.device, verbose=False)
        exported = isinstance(model, (str, Path))
        self.model = ArtifactEnhancer(model, device=asked_device(self.args)) if exported else model
        self.run = runner_of(self.model, self.device, half=self.args.quantize == 16)
        if hasattr(self.run, "solve") and self.device.type != "cpu":
            self.run.device = str(self.device)

    def configure(
        self,
        model: Any,
        *,
        tile: int | None = None,
        overlap: float | None = None,
        bands: int | Sequence[int] | None = None,
        value_range: Any = None,
        save_routes: bool = False,
    ) -> None:
        """Set what the next run does beyond what Ultralytics knows.

        Args:
            model: The :class:`rsdet.RSDet`.
            tile: Side of the tiles that large pictures are cut into, 0 for none; see
                :func:`rsdet.tasks.restore.running.apply`. Rasters of more than 2^24 pixels that are saved, and with
                ``tile`` all that lie on Earth, are never held in memory; the same command goes on where a run was
                stopped.
            overlap: What neighbouring tiles share: below 1 a fraction of the tile, from 1 on pixels; an eighth of the
                tile, 64 px at most, where None.
            bands: Bands of the files to take, counted from 1.
            value_range: File values that are black and white, where the files do not fill their 8 or 16 bits.
            save_routes: Write beside each picture which expert took which pixel; for models that have experts.

        Raises:
            ConfigError: A value out of its range, or one that does not apply to this model.
        """
        if check_flag("save_routes", save_routes):
            if isinstance(self.run, ArtifactEnhancer):
                raise ConfigError(
                    f"save_routes=: {self.run.name} is exported and gives pictures alone; use its weights."
                )
            routed_network(self.run)
        self.work = RestoreRun(
            self.model, self.run, self.make_folder if self.args.save else None, self.place, tile, overlap, bands,
            value_range, partial(write_routes, self.run) if save_routes else None,
            {"device": str(self.device), "half": self.args.quantize == 16}, self.args.seed, self.args.verbose,
        )  # fmt: skip

    def over(self, source: Any) -> Iterator[RestoreResults]:
        """Restore pictures one after the other, or the frames of a video."""
        found = find(source)
        self.sources = [found.video] if found.video else found.files
        self.skipped = found.skipped
        self.run_callbacks("on_predict_start")
        for result in self.work.over(found):
            if result.save_path is not None:
                self.save_dir = self._made = result.save_path.parent
            yield self.done(result)
        self.run_callbacks("on_predict_end")
