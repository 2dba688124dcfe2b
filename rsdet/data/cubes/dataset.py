"""Data YAMLs of one scene: a cube, LiDAR on its grid, and maps of classes or of anomalies.

.. code-block:: yaml

    task: landcover                 # or anomaly, or both in a list
    path: trento                    # as in Ultralytics' data YAMLs; left out: the folder of the YAML
    cube: {file: HSI.mat, key: HSI} # or the file alone; axes: BHW where bands come first
    bands: all                      # or numbers from 1, 10-50, 450-900nm, usable; several in a list
    lidar: {file: LiDAR.mat}        # one or a list; left out where there is none
    train: {file: TRLabel.mat}      # maps whose pixels are learnt from and measured; they must not intersect
    test: {file: TSLabel.mat}
    labels: gt.mat                  # one map of all, which a split divides (rsdet.data.cubes.splits)
    names: {1: apple trees, 2: buildings}   # by the value in the maps
    unlabelled: [0]                 # values of no class
    palette: {apple trees: "#c83c3c"}
    counts: {size: [166, 600, 63], train: [129, 125]}   # what the owner states; differences are told
    gsd: 1.0                        # metres a pixel
    wavelengths_nm: [402.9, 989.1]  # where the cube does not say them: of each band, or first and last of even steps

A file may be a list of names, and a key likewise: the first that is there is taken. Anomalies are a map ``labels`` of
which any class is an anomaly and the rest, labelled or not, background; without ``names``, whatever is above 0 is one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.cubes.cube import CubeFile
from rsdet.data.cubes.grids import check_same_grid, check_same_size
from rsdet.data.cubes.labels import MAPS, check_apart, classes_of, counts_of
from rsdet.data.cubes.opening import label_map, maps_in, open_cube
from rsdet.data.gsd import gsd_of
from rsdet.data.resolve import root_of, tasks_of
from rsdet.errors import ConfigError, DataError, RSDetError, nearest
from rsdet.names import class_names
from rsdet.quiet import say
from rsdet.textfiles import read_yaml

_OWN = ("cube", "lidar", *MAPS, "bands", "split", "names", "unlabelled", "palette", "counts", "gsd", "wavelengths_nm",
        "general")  # fmt: skip
_FACTS = ("task", "name", "path", "licence", "homepage", "citation", "protocol", "instruction", "source_format",
          "render", "yaml_file", "channels", "nc", "val")  # fmt: skip
_SOURCE = ("file", "key", "axes")
_SPLIT = ("by", "per_class", "fold", "folds", "block_px", "seed")


@dataclass(frozen=True)
class Source:
    """A raster of a scene.

    Attributes:
        path: The file.
        key: Variable, or the names it may have; None takes the only one.
        axes: Order of the axes of an array; None for the usual one.
    """

    path: Path
    key: str | tuple[str, ...] | None = None
    axes: str | None = None


class Scene:
    """The open rasters of a scene, on one grid; a context manager.

    Attributes:
        cube: Hundreds of bands.
        lidar: Rasters beside it, none where there are none.
    """

    def __init__(self, cube: CubeFile, lidar: list[CubeFile]):
        self.cube, self.lidar = cube, lidar

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *error: object) -> None:
        for raster in (self.cube, *self.lidar):
            raster.close()

    @property
    def lidar_bands(self) -> int:
        """Bands of all rasters of LiDAR together."""
        return sum(raster.shape[2] for raster in self.lidar)

    def read_lidar(self, rows: slice | None = None, cols: slice | None = None) -> np.ndarray:
        """Bands of all rasters of LiDAR, (h, w, R) float32; R = 0 without any."""
        read = [raster.read(rows, cols) for raster in self.lidar]
        return np.concatenate(read, axis=2) if read else self.cube.read(rows, cols, [])


@dataclass
class CubeData:
    """A scene whose data YAML has been read; its files are read when they are asked for.

    Attributes:
        path: The data YAML, or the file of a cube that stands for itself.
        name: For messages and tables.
        cube: The cube.
        lidar: Rasters of LiDAR; empty where there are none.
        maps: ``train``, ``test`` and ``labels``, as far as there are such.
        names: Name of each class from 0; class k is k + 1 in the maps that :meth:`map` reads.
        values: Value of each class in the files, in the order of ``names``; none where whatever is above 0 is the one.
        unlabelled: Values of no class.
        palette: Colours of some classes, red, green and blue, by their number from 0.
        bands: What ``bands`` of :func:`rsdet.data.cubes.bands.bands_of` is.
        split: What the YAML says of splits.
        general: Further cubes to learn a background from, without anomalies.
        content: All of the YAML.
    """

    path: Path
    name: str
    cube: Source
    lidar: tuple[Source, ...] = ()
    maps: dict[str, Source] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    values: tuple[int, ...] = ()
    unlabelled: tuple[int, ...] = (0,)
    palette: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    bands: Any = "all"
    split: dict[str, Any] = field(default_factory=dict)
    general: tuple[Source, ...] = ()
    content: dict[str, Any] = field(default_factory=dict)

    @property
    def gsd(self) -> float | None:
        """Metres a pixel; None where nobody says."""
        return gsd_of(self.content)

    def open(self, lidar: bool = True) -> Scene:
        """Open the rasters and make sure that they lie on one grid.

        Args:
            lidar: Open the LiDAR as well.

        Raises:
            RSDetError: They cannot be read, or do not; all that is wrong in one line.
        """
        faults = Faults()
        cube = faults.tried(lambda: self._cube(self.cube))
        rasters = [faults.tried(lambda s=s: open_cube(s.path, s.key, s.axes)) for s in self.lidar if lidar]
        opened = [raster for raster in rasters if raster is not None]
        for raster in opened if cube is not None else ():
            faults.tried(lambda raster=raster: check_same_grid(cube, raster))
        if faults.found:
            for raster in (cube, *opened):
                if raster is not None:
                    raster.close()
        faults.raise_any()
        return Scene(cube, opened)  # type: ignore[arg-type]

    def open_general(self) -> list[CubeFile]:
        """Open the cubes to learn a background from; that they have the bands of the scene, their reader checks."""
        return [self._cube(source) for source in self.general]

    def map(self, name: str) -> np.ndarray:
        """Classes of a map.

        Args:
            name: ``train``, ``test`` or ``labels``.

        Returns:
            (H, W) int64, 0 where nothing is labelled, else class + 1.

        Raises:
            DataError: There is none, it holds other values, or has another size than the cube.
        """
        if name not in self.maps:
            has = ", ".join(self.maps) or "no map"
            raise DataError(f"{self.path} has no {name}: (it has {has}); add {name}: {{file: ..., key: ...}}.")
        source = self.maps[name]
        values = label_map(source.path, source.key, source.axes)
        known = dict(zip(self.values, self.names.values(), strict=False))
        if not known:
            known, values = {1: self.names[0]}, (values > 0).astype(np.int64)
        found = classes_of(values, known, self.unlabelled, source.path)
        with self._cube(self.cube) as cube:
            check_same_size(cube, found.shape, source.path, f"its map {name}:")
        self._compare(name, counts_of(found, len(self.names)))
        return found

    def given(self) -> tuple[np.ndarray, np.ndarray]:
        """The two maps of the owner, ``train`` and ``test``.

        Raises:
            RSDetError: They cannot be read, or intersect; all that is wrong in one line.
        """
        faults = Faults()
        train, test = (faults.tried(lambda name=name: self.map(name)) for name in ("train", "test"))
        faults.raise_any()
        check_apart(train, test, str(self.path))  # type: ignore[arg-type]
        return train, test  # type: ignore[return-value]

    def _cube(self, source: Source) -> CubeFile:
        cube = open_cube(source.path, source.key, source.axes)
        try:
            said = self.content.get("wavelengths_nm")
            if said is not None and cube.wavelengths_nm is None:
                cube.wavelengths_nm = _wavelengths(said, cube.shape[2], self.path)
            stated = (self.content.get("counts") or {}).get("size")
            if source is self.cube and stated and list(cube.shape) != list(stated):
                _say_once(f"{self.name}: the cube is {_size(cube.shape)}, its owner states {_size(stated)}.")
        except BaseException:
            cube.close()
            raise
        return cube

    def _compare(self, name: str, found: list[int]) -> None:
        stated = (self.content.get("counts") or {}).get(name)
        if not stated or list(stated) == found:
            return
        differ = [f"{self.names[k]} {n} for {m}" for k, (n, m) in enumerate(zip(found, stated, strict=False)) if n != m]
        _say_once(
            f"{self.name}: {name} has {sum(found)} labelled pixels, its owner states {sum(stated)} "
            f"({', '.join(differ[:4])}{', ...' * (len(differ) > 4)})."
        )


class Faults:
    """Errors of several steps, told in one line."""

    def __init__(self) -> None:
        self.found: list[RSDetError] = []

    def tried(self, step: Callable[[], Any]) -> Any:
        """What a step gives; None where it fails, which is noted."""
        try:
            return step()
        except RSDetError as e:
            self.found.append(e)
            return None

    def raise_any(self) -> None:
        """Raise the one error, or one that says all.

        Raises:
            RSDetError: There was one.
        """
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            said = dict.fromkeys(str(e).rstrip(".") for e in self.found)
            raise type(self.found[0])(f"{len(said)} faults: " + " | ".join(said) + ".")


def cube_data(data: str | Path, task: str | None = None) -> CubeData:
    """Read the data YAML of a scene, or take a cube that stands for itself.

    Args:
        data: Name of a shipped set, path of a data YAML, or a file that :func:`rsdet.data.cubes.opening.open_cube`
            reads; where a MATLAB file holds one map besides, that is ``labels``, with the one class ``anomaly``.
        task: Task of the model that asks; None takes any.

    Raises:
        ConfigError: The YAML does not say what it must, all faults at once.
        DataError: Files are missing.
    """
    path = Path(data).expanduser()
    if path.suffix.lower() not in (".yaml", ".yml") and path.is_file():
        beside = maps_in(path)
        maps = {"labels": Source(path, beside[0])} if len(beside) == 1 else {}
        return CubeData(path, path.stem, Source(path), maps=maps, names={0: "anomaly"})
    from rsdet.data.resolve import resolve_data

    path = resolve_data(data, task)
    return read_cube_data(path, read_yaml(path))


def read_cube_data(path: Path, content: dict[str, Any]) -> CubeData:
    """What a data YAML says, checked.

    Args:
        path: The YAML.
        content: What it holds.

    Raises:
        ConfigError: It does not say what it must, all faults at once.
        DataError: Files are missing.
    """
    root, faults = root_of(path, content), Faults()
    for key in content:
        if key not in (*_OWN, *_FACTS):
            faults.tried(lambda key=key: _refuse(f"{path}: {key}: is no key of a scene.{nearest(key, _OWN)}"))
    if "cube" not in content:
        faults.tried(lambda: _refuse(f"{path} names no cube:, such as cube: {{file: HSI.mat, key: HSI}}"))
    found = {k: faults.tried(lambda k=k: _source(content[k], k, root, path)) for k in ("cube", *MAPS) if k in content}
    several = {
        k: [faults.tried(lambda s=s, k=k: _source(s, k, root, path)) for s in _several(content.get(k))]
        for k in ("lidar", "general")
    }
    names = faults.tried(lambda: _names(content.get("names"), path)) or {}
    palette = faults.tried(lambda: _palette(content.get("palette"), [*names.values()], path))
    unlabelled = faults.tried(lambda: _unlabelled(content.get("unlabelled", 0), names, path))
    split = faults.tried(lambda: _split(content.get("split"), path))
    faults.tried(lambda: _check_counts(content.get("counts"), path))
    faults.tried(lambda: gsd_of(content))
    tasks = faults.tried(lambda: tasks_of(path, content)) or ()
    if "landcover" in tasks and not names:
        faults.tried(lambda: _refuse(f"{path} has no names: of its classes, such as names: {{1: trees, 2: roads}}"))
    faults.raise_any()
    cleaned = class_names([*names.values()]) if names else {0: "anomaly"}
    return CubeData(
        path, str(content.get("name") or path.stem), found["cube"], tuple(several["lidar"]),
        {k: s for k, s in found.items() if k in MAPS}, cleaned, tuple(names), unlabelled, palette or {},
        content.get("bands", "all"), split or {}, tuple(several["general"]), content,
    )  # fmt: skip


def _refuse(message: str) -> None:
    raise ConfigError(message)


def _several(given: Any) -> list[Any]:
    return [] if given is None else given if isinstance(given, list) else [given]


def _source(given: Any, what: str, root: Path, path: Path) -> Source:
    """A raster as the YAML names it: a file, or ``{file, key, axes}``."""
    said = given if isinstance(given, Mapping) else {"file": given}
    if strange := [k for k in said if k not in _SOURCE]:
        raise ConfigError(f"{path}: {what}: {strange[0]} is no key of a file.{nearest(str(strange[0]), _SOURCE)}")
    files = said.get("file")
    files = files if isinstance(files, list) else [files]
    if not files or not all(isinstance(f, str) and f for f in files):
        raise ConfigError(f"{path}: {what} must be a file or {{file: HSI.mat, key: HSI}}; received {given!r}")
    there = [root / f for f in files if (root / f).is_file()]
    if not there:
        raise DataError(f"{path}: {what}: {' or '.join(map(str, files))} is not in {root}; check path: and the name.")
    key, axes = said.get("key"), said.get("axes")
    keys = key if isinstance(key, list) else [] if key is None else [key]
    if not all(isinstance(k, str) for k in keys) or not (axes is None or isinstance(axes, str)):
        raise ConfigError(f"{path}: {what}: key and axes must be text, such as {{key: HSI, axes: HWB}}")
    takes_key = there[0].suffix.lower() == ".mat"
    return Source(there[0], tuple(keys) if keys and takes_key else None, axes)


def _names(given: Any, path: Path) -> dict[int, str]:
    """Value in the maps to name, in rising order; none where the YAML has none."""
    if given is None:
        return {}
    said = dict(enumerate(given, 1)) if isinstance(given, list) else given
    if not isinstance(said, Mapping) or not said or not all(type(v) is int for v in said):
        raise ConfigError(
            f"{path}: names must map values of the maps to names, such as {{1: trees}}; received {given!r}"
        )
    return {value: str(said[value]) for value in sorted(said)}


def _unlabelled(given: Any, names: Mapping[int, str], path: Path) -> tuple[int, ...]:
    values = _several(given)
    if not all(type(v) is int for v in values):
        raise ConfigError(f"{path}: unlabelled must be values of the maps, such as [0]; received {given!r}")
    if both := [v for v in values if v in names]:
        raise ConfigError(f"{path}: {both[0]} is {names[both[0]]} in names: and unlabelled; leave it in one of them")
    return tuple(values)


def _palette(given: Any, names: list[str], path: Path) -> dict[int, tuple[int, int, int]]:
    if given is None:
        return {}
    colours = {}
    for name, said in given.items() if isinstance(given, Mapping) else [("", given)]:
        if name not in names:
            raise ConfigError(f"{path}: palette: {name!r} is no class of names:.{nearest(str(name), names)}")
        text = str(said).removeprefix("#")
        if len(text) != 6 or not all(c in "0123456789abcdefABCDEF" for c in text):
            raise ConfigError(f'{path}: palette: {name}: {said!r} is no colour; write it as "#ffff00"')
        colours[names.index(name)] = tuple(bytes.fromhex(text))
    return colours  # type: ignore[return-value]


def _split(given: Any, path: Path) -> dict[str, Any]:
    if not isinstance(given, (Mapping, type(None))):
        raise ConfigError(f"{path}: split must be a mapping such as {{by: blocked, fold: 0}}; received {given!r}")
    for key in given or {}:
        if key not in _SPLIT:
            raise ConfigError(f"{path}: split: {key} is no key of a split.{nearest(str(key), _SPLIT)}")
    return dict(given or {})


def _check_counts(given: Any, path: Path) -> None:
    listed = given.values() if isinstance(given, Mapping) else [given] if given is not None else []
    if not all(isinstance(v, list) and all(type(n) is int for n in v) for v in listed):
        raise ConfigError(f"{path}: counts must map size, train, test or labels to lists of whole numbers")


def _wavelengths(given: Any, bands: int, path: Path) -> np.ndarray:
    values = np.array(given, np.float64) if isinstance(given, list) and all(map(_is_number, given)) else np.zeros(0)
    if len(values) == 2 and bands != 2:
        return np.linspace(values[0], values[1], bands)
    if len(values) != bands or not (values > 0).all():
        raise ConfigError(
            f"{path}: wavelengths_nm must be a number for each of the {bands} bands, or those of the first and the last"
        )
    return values


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@lru_cache(maxsize=256)
def _say_once(text: str) -> None:
    say(text, logging.WARNING)


def _size(shape: Any) -> str:
    return " x ".join(map(str, shape))
