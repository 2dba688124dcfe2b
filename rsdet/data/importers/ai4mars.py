"""AI4Mars: terrain seen by Curiosity's navigation cameras, masks of four classes, and masks of what is left out.

Layout: ``images/edr/*.JPG`` (grey), ``images/mxy/*.png`` (the rover) and ``images/rng-30m/*.png`` (beyond 30 m), not 0
where nothing is to be learnt, ``labels/train/*.png`` and, drawn by experts,
``labels/test/masked-gold-min<n>-100agree/*_merged.png``: of these, the ones that three agreed on. A name is the same in
all but ``EDR``, ``MXY`` and ``RNG``. Values are 0 soil, 1 bedrock, 2 sand, 3 big rock and 255 for none.

Source: Swan et al., AI4MARS, CVPR Workshops 2021.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.importers._labels import ImportOptions
from rsdet.data.importers._layout import Source
from rsdet.data.importers.class_masks import MaskSource, read_maps
from rsdet.errors import ConfigError, DataError

NAMES = ("soil", "bedrock", "sand", "big rock")
TEST = "masked-gold-min3-100agree"
_BESIDE = {"mxy": "MXY", "rng-30m": "RNG"}  # folder to its letters


class _Files(MaskSource):
    """The mask of a picture has its name, in whatever folder."""

    def key(self, path: Path) -> tuple[str, ...]:
        return super().key(path)[-1:]


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read the folder of a rover, such as ``msl`` or ``msl/ncam``, or one above it.

    Raises:
        ConfigError: Boxes were asked for.
        DataError: There are no masks.
    """
    every = Source.open(source, ".png")
    if not options.maps:
        raise ConfigError("format=ai4mars holds maps of classes; give task=semantic.")
    pictures = [p for p in every.images if p.parent.name == "edr"]
    masks = [p for p in every.images if p.parent.name in ("train", TEST) and "labels" in p.parts]
    if not pictures or not masks:
        raise DataError(f"no pictures in images/edr with masks in labels/train below {source}; check the folder.")
    files = _Files(every.root, pictures)

    def beside(picture: Path) -> list[Path]:
        places = (picture.parent.parent / d / f"{picture.stem.replace('EDR', w, 1)}.png" for d, w in _BESIDE.items())
        return [p for p in places if p.is_file()]

    return read_maps(files, masks, replace(options, names=options.names or NAMES), log, beside)
