"""From the path of a cube, a LiDAR raster or a label map to the open file, whatever its format.

What a file is, its first bytes say: MATLAB of any version, NumPy's ``.npy``, ENVI with its header, else a raster that
:mod:`rsdet.scenes` reads (GeoTIFF, VRT, JPEG 2000, PNG). Arrays have their axes in the order that ``axes`` says, rows,
columns, bands unless told otherwise: no order is guessed, and what contradicts it is refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.cubes.cube import CubeFile
from rsdet.data.cubes.envi import header_of, is_header, open_envi
from rsdet.data.cubes.matlab import MatFile, Variable, window_of
from rsdet.data.cubes.raster import open_raster_cube
from rsdet.data.cubes.roi_text import is_roi_text, read_roi_text
from rsdet.data.cubes.wavelengths import in_nm
from rsdet.data.masks.values import GREY, read_values
from rsdet.errors import ConfigError, DataError, nearest
from rsdet.scenes.opening import driver_of

AXES = tuple("".join(p) for p in itertools.permutations("HWB"))
SUFFIXES = (".hdr", ".mat", ".npy", ".tif", ".tiff", ".vrt")  # looked for in folders
_WAVELENGTHS = ("wavelen", "wavlen", "lambda")  # how variables with them begin; a set spells it so


def open_cube(path: str | Path, key: str | Sequence[str] | None = None, axes: str | None = None) -> CubeFile:
    """Open a cube, or a raster of few bands on its grid such as LiDAR.

    Args:
        path: ENVI (the header, or the file of samples beside it), MATLAB of any version, NPY, GeoTIFF.
        key: Variable of a MATLAB file, such as ``data`` or ``hsi.Data``; of several, the first that is there. None
            takes the only array of three axes, or the only one of two where there is none.
        axes: What the axes of an array are, such as ``BHW``; None for rows, columns, bands (``HWB``).

    Raises:
        ConfigError: The file has no such variable (those it has are named), or the axes are none.
        DataError: The file cannot be read as a cube.
        MissingDependencyError: The package that reads it is not installed.
    """
    path = _existing(path)
    axes = _checked_axes(axes)
    kind = _kind_of(path)
    if kind != "mat" and key is not None:
        raise ConfigError(f"key={_shown(key)} is for MATLAB files, and {path} is none; leave it out.")
    if kind in ("envi", "raster") and axes not in (None, "HWB"):
        raise ConfigError(f"axes={axes}: {path} says itself where its bands are; leave axes out.")
    if kind == "roi":
        raise DataError(f"{path} holds regions of interest and no cube; give it as a map of classes.")
    if kind == "envi":
        return open_envi(_header(path))
    if kind == "raster":
        return open_raster_cube(path)
    if kind == "npy":
        return _of_array(path, None, Variable((array := _mapped(path)).shape, array), axes, True)
    file = MatFile(path)
    try:
        name, variable = _variable(file, key)
        return _of_array(path, name, variable, axes, file.windowed, file)
    except BaseException:
        file.close()
        raise


def label_map(path: str | Path, key: str | Sequence[str] | None = None, axes: str | None = None) -> np.ndarray:
    """Read a map of class numbers.

    Args:
        path: As :func:`open_cube`, besides pictures of one channel or of a palette, whose numbers are read, and
            ENVI's regions of interest as text, which are numbered from 1.
        key: Variable of a MATLAB file; None takes the only array of two axes.
        axes: ``HW`` or, transposed, ``WH``; None for the former.

    Returns:
        (H, W) int64, as stored: what is unlabelled and what the numbers mean, the data YAML says.

    Raises:
        ConfigError: As :func:`open_cube`.
        DataError: It holds no whole numbers, or has several bands.
    """
    path = _existing(path)
    if axes not in (None, "HW", "WH"):
        raise ConfigError(f"axes={axes} of a label map must be HW or WH; received for {path}.")
    kind = _kind_of(path)
    if kind == "mat":
        file = MatFile(path)
        try:
            values = _variable(file, key, flat=True)[1].whole()
        finally:
            file.close()
    elif key is not None:
        raise ConfigError(f"key={_shown(key)} is for MATLAB files, and {path} is none; leave it out.")
    elif kind == "npy":
        values = _mapped(path)
    elif kind == "roi":
        values = read_roi_text(path)
    elif kind == "raster":
        values = _of_picture(path)
    else:
        with open_envi(_header(path)) as cube:
            values = cube.sampler(slice(0, cube.shape[0]), slice(0, cube.shape[1]), slice(0, cube.shape[2]))
    values = np.asarray(values)
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if values.ndim != 2 or not values.size:
        raise DataError(
            f"{path}: a map of classes has rows and columns, received {_size(values.shape)}; pass that one."
        )
    return _whole_numbers(values.T if axes == "WH" else values, path)


def files_of_map(path: str | Path) -> tuple[Path, ...]:
    """All files that a map is read from: of ENVI the header and the samples, else the file itself."""
    path = _existing(path)
    if _kind_of(path) != "envi":
        return (path,)
    with open_envi(_header(path)) as cube:
        return tuple(cube.files)


def maps_in(path: str | Path) -> list[str]:
    """Names of the arrays of a MATLAB file that could be maps, of two axes; none of a file of another kind."""
    path = _existing(path)
    if _kind_of(path) != "mat":
        return []
    file = MatFile(path)
    file.close()
    return [name for name, variable in file.variables.items() if _is_map(variable)]


def _whole_numbers(values: np.ndarray, path: Path) -> np.ndarray:
    if values.dtype.kind in "biu":
        return values.astype(np.int64)
    finite = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        whole = finite & (values == np.rint(values)) & (np.abs(values) < 2**53)
    if not whole[finite].all() or not finite.any():
        worst = values[finite & ~whole][:1]
        found = f"{worst[0]:g}" if worst.size else "NaN"
        raise DataError(f"{path}: a map of classes holds whole numbers, received {found}; pass the map of labels.")
    return np.where(finite, values, 0).astype(np.int64)


def _of_picture(path: Path) -> np.ndarray:
    """Numbers of a picture; what a TIFF says is no data is 0."""
    values, coloured, nodata = read_values(path)
    if coloured:
        if (values % GREY).any():
            raise DataError(f"{path} holds colours, and a map of classes numbers; save it with one channel.")
        values = values // GREY
    return values if nodata is None or nodata != nodata else np.where(values == nodata, 0, values)


def _existing(path: str | Path) -> Path:
    path = Path(path).expanduser()
    if path.is_dir():
        raise DataError(f"{path} is a folder; pass the file of the cube.")
    if not path.is_file():
        raise DataError(f"{path} does not exist; check the path.")
    return path


def _kind_of(path: Path) -> str:
    """``mat``, ``npy``, ``envi``, ``roi`` or ``raster``: by the first bytes."""
    try:
        with open(path, "rb") as f:
            head = f.read(520)
    except OSError as e:
        raise DataError(f"{path} cannot be read ({e.strerror or e}); check its permissions.") from e
    if not head:
        raise DataError(f"{path} is empty (0 bytes); copy it again.")
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"MATLAB 5.0") or b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:]):
        return "mat"
    if head.startswith(b"version https://git-lfs"):
        raise DataError(f"{path} is a pointer of Git LFS and not the file; fetch it with git lfs pull.")
    if is_roi_text(head):
        return "roi"
    if is_header(path):
        return "envi"
    if path.suffix.lower() == ".mat":  # version 4 begins with numbers
        return "mat"
    if path.suffix.lower() in (".csv", ".txt"):
        raise DataError(f"{path} is a table of text; save it as NPY (numpy.save), MATLAB, ENVI or TIFF.")
    if path.suffix.lower() == ".npy":
        raise DataError(f"{path} is no array of NumPy (its first bytes say so); copy it again.")
    if path.suffix.lower() == ".hdr" or (not _is_picture(path) and header_of(path) is not None):
        return "envi"
    return "raster"


def _is_picture(path: Path) -> bool:
    try:
        return bool(driver_of(path))
    except DataError:
        return False


def _header(path: Path) -> Path:
    header = header_of(path)
    if header is None:
        raise DataError(f"{path} does not begin with ENVI, as the header of a cube does; pass one that does.")
    return header


def _mapped(path: Path) -> np.ndarray:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(found, np.ndarray):
            found.close()
            raise ValueError("it is an archive of arrays")
        return found
    except Exception as e:  # whatever a crafted header makes NumPy raise
        why = " ".join(str(e).split())[:80]
        raise DataError(f"{path} is no plain array of NumPy ({why}); save it with numpy.save.") from e


def _checked_axes(axes: str | None) -> str | None:
    if axes is None:
        return None
    given = str(axes).upper()
    if given not in (*AXES, "HW", "WH"):
        raise ConfigError(
            f"axes={axes} must name rows, columns and bands by H, W and B; such as BHW.{nearest(given, AXES)}"
        )
    return given


def _variable(file: MatFile, key: str | Sequence[str] | None, flat: bool = False) -> tuple[str, Variable]:
    """The array that is meant, and its name.

    Args:
        file: Open.
        key: Its name, or several that it may have.
        flat: A map is wanted, of two axes.
    """
    names = [key] if isinstance(key, str) else list(key or ())
    for name in names:
        if (found := file.find(name)) is not None:
            return name, found
    if names:
        near = nearest(names[0], file.variables)
        raise ConfigError(f"{file.path} has no {_shown(key)}; it has {file.listing()}.{near}")
    maps = {n: v for n, v in file.variables.items() if _is_map(v)}
    cubes = {n: v for n, v in file.variables.items() if len(v.shape) == 3}
    fits = maps if flat else cubes or maps
    if len(fits) == 1:
        return next(iter(fits.items()))
    what = "map (rows x columns)" if flat else "cube"
    why = f"{len(fits)} arrays that could be the {what}" if fits else f"no array that could be the {what}"
    raise ConfigError(f"{file.path} holds {why}; it has {file.listing()}: name one with key=.")


def _is_map(variable: Variable) -> bool:
    """Whether an array has rows and columns; one of MATLAB's vectors has a single one of either."""
    return len(variable.shape) == 2 and min(variable.shape) > 1


def _of_array(
    path: Path, key: str | None, variable: Variable, axes: str | None, windowed: bool, file: MatFile | None = None
) -> CubeFile:
    """A cube of an array of three axes, or of two: one band."""
    shape = variable.shape
    where = f"{path}: {key}" if key else str(path)
    if len(shape) not in (2, 3):
        raise DataError(f"{where} has {len(shape)} axes ({_size(shape)}); a cube has rows, columns and bands.")
    named = (axes or "HWB") if len(shape) == 3 else (axes or "HW").replace("B", "")
    if len(named) != len(shape):
        raise ConfigError(f"axes={axes}: {where} has three axes ({_size(shape)}); name all, such as BHW.")
    places = tuple(named.index(letter) for letter in "HWB"[: len(shape)])
    sides = tuple(shape[p] for p in places)
    sides = (*sides, 1) if len(sides) == 2 else sides
    if axes is None and file is not None and len(shape) == 3:
        _check_maps(file, shape, where)
    wavelengths = _wavelengths(file, key, sides, where, named) if file is not None else None
    return CubeFile(
        path, sides, variable.array.dtype,  # type: ignore[arg-type]
        lambda rows, cols, bands: window_of(variable, places, rows, cols, bands),
        key=key, wavelengths_nm=wavelengths, windowed=windowed, closing=file.close if file is not None else None,
    )  # fmt: skip


def _check_maps(file: MatFile, shape: Sequence[int], where: str) -> None:
    """Refuse axes that nobody gave where the maps beside a cube fit another order only.

    Raises:
        DataError: They do.
    """
    sizes = {v.shape: name for name, v in file.variables.items() if _is_map(v)}
    if not sizes or tuple(shape[:2]) in sizes:
        return
    for axes in AXES:
        size = shape[axes.index("H")], shape[axes.index("W")]
        if size in sizes:
            raise DataError(
                f"{where} is {_size(shape)} and {sizes[size]} beside it {_size(size)}: give axes={axes}, or axes=HWB "
                "where rows and columns do come first."
            )


def _wavelengths(file: MatFile, key: str | None, sides: tuple[int, ...], where: str, named: str) -> np.ndarray | None:
    """Wavelengths that lie beside a cube in its file.

    Raises:
        DataError: They are as many as another axis is long.
    """
    for name, variable in file.variables.items():
        last = name.rpartition(".")[2].lower()
        if name == key or sum(n > 1 for n in variable.shape) > 1 or not any(word in last for word in _WAVELENGTHS):
            continue
        values: Any = variable.whole().ravel()
        if len(values) == sides[2]:
            return in_nm(values, "", file.path)
        if len(values) in sides[:2] and sides[2] > 1:
            place = named.index("HW"[sides.index(len(values))])
            fitting = next(a for a in AXES if a.index("B") == place)
            raise DataError(
                f"{where} has {sides[0]} rows, {sides[1]} columns and {sides[2]} bands read as {named}, and {name} "
                f"{len(values)} numbers; give axes={fitting}."
            )
    return None


def _shown(key: str | Sequence[str] | None) -> str:
    return key if isinstance(key, str) else " or ".join(key or ())


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
