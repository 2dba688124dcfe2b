"""Prediction of changes: pairs of files in, maps out; the loop is that of :mod:`rsdet.tasks.change.running`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rsdet import digest
from rsdet.deploy.artifact import weights_sha256
from rsdet.tasks.change.looking import Looking, tile_side
from rsdet.tasks.change.outputs import THRESHOLD, ChangeOutputs, ChangeResult
from rsdet.tasks.change.reading import DATES, PairReader
from rsdet.tasks.change.running import PairRun
from rsdet.tasks.change.scenes import SceneChange, SceneWishes
from rsdet.tasks.change.source import find_pairs, usable
from rsdet.tasks.change.val import check_looking, fixed_size
from rsdet.tasks.predicting import FilePredictor
from rsdet.tasks.semantic.mapping import mapper_of
from rsdet.tasks.semantic.polygons import PolygonSettings
from rsdet.tasks.semantic.scenes import overlap_px


class ChangePredict(FilePredictor):
    """Predictor of change networks."""

    def configure(
        self,
        model: Any,
        *,
        source2: Any = None,
        tile: int | None = None,
        overlap: float | None = None,
        threshold: float = THRESHOLD,
        bands: int | Sequence[int] | None = None,
        polygons: bool | None = None,
        min_area_m2: float = 0.0,
        resample: bool = False,
        match: bool = False,
        districts: str | None = None,
        stretch: Sequence[float] | None = None,
        swipe: bool | None = None,
    ) -> None:
        """Set what the next run does beyond what Ultralytics knows.

        Args:
            model: The :class:`rsdet.RSDet`.
            source2: The later date: as many files as ``source`` names, or a folder of files with the same names.
                Without it, ``source`` is a folder that holds both dates, such as ``A`` and ``B``.
            tile: Side of the tiles in which pictures are looked at, at their own resolution; ``imgsz`` where None.
            overlap: What neighbouring tiles share: below 1 a part of the tile, from 1 on pixels; a quarter where None.
            threshold: Probability from which on a pixel has changed.
            bands: Bands of the files to take of each date, counted from 1, in the order of the model's.
            polygons: Write the changed regions as polygons: GeoPackage and GeoJSON, of rasters that lie on a map unless
                it is False; with True of all others, too, as GeoJSON in pixels.
            min_area_m2: Leave out polygons of fewer square metres on the ground, where that is known.
            resample: Read a later raster that lies on another grid on that of the earlier one, window by window. Such
                pairs are refused otherwise, with the gdalwarp command that mends them.
            match: Give the later date the brightness of the earlier one, by the histograms of the whole pictures.
            districts: GeoJSON or GeoPackage of polygons, of each of which the changed area is told, of rasters.
            stretch: Two values that become black and white, of rasters that are not of bytes.
            swipe: Write a page with a slider between the dates; of rasters unless it is False, of others with True.

        Raises:
            ConfigError: A value out of its range.
        """
        check_looking({"tile": tile, "overlap": overlap, "threshold": threshold})
        fixed = fixed_size(self.model)
        side, batch = tile_side(fixed, tile or self._side(), self._side()), 1 if fixed else self.args.batch
        self.source2, self.looking = source2, Looking(side, overlap_px(overlap, side), threshold, batch, match)
        self.wishes = SceneWishes(resample, districts, stretch)
        self.reader = PairReader((model.channels or DATES * 3) // DATES, model.bands if bands is None else bands)
        self.outputs, self.skipped = ChangeOutputs(PolygonSettings(polygons, min_area_m2), swipe), []
        self._digest = digest.digest(Path(model.model)) if isinstance(model.model, str) else None
        self._digest = self._digest or weights_sha256(model.model)

    def over(self, source: Any) -> Iterator[ChangeResult | SceneChange]:
        """Compare one pair after the other."""
        found = usable(find_pairs(source, self.source2), self.reader.bands, self.reader.taken, self.wishes)
        self.sources = found.files
        facts = {"weights": self._digest, "device": str(self.device), "half": bool(self.model.fp16),
                 "reading": str(self.reader)}  # fmt: skip
        mapper = mapper_of(self.model, self.reader.of_one_date, self.looking.tile, facts)
        folder = self.make_folder if self.args.save else None
        how = self.args.verbose, self.place, self.wishes
        run = PairRun(mapper, self.reader, self.looking, self.outputs, folder, *how)
        self.run_callbacks("on_predict_start")
        try:
            for result in run.over(found):
                if isinstance(result, SceneChange):
                    self.save_dir = self._made = result.save_path.parents[1]
                yield self.done(result)
        finally:  # what was found before an interruption is kept
            self.skipped = run.skipped
            if self.args.save and self.outputs.rows:
                self.outputs.write_areas(self.save_dir)
        self.run_callbacks("on_predict_end")

    def _side(self) -> int:
        """Side of the tiles where nobody says otherwise."""
        return self.args.imgsz if isinstance(self.args.imgsz, int) else min(self.args.imgsz)
