"""MATLAB files: versions 4 to 7 are read whole by SciPy, 7.3 is HDF5, whose axes lie the other way round, by windows.

A variable inside a struct is named with dots, one of several with its place: ``hsi.Lidar[0].z``. Functions and objects
in the files are left alone, and so is what lies in another file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rsdet.data.decoding import within_memory
from rsdet.errors import DataError
from rsdet.quiet import say
from rsdet.scenes.optional import optional

_HDF5 = b"\x89HDF\r\n\x1a\n"
_DEPTH = 6
_MOST = 10_000  # variables that are looked at


class Variable(NamedTuple):
    """An array of numbers in a file.

    Attributes:
        shape: As MATLAB has it, that of HDF5 turned round.
        array: NumPy's, or HDF5's dataset with axes the other way round.
        reversed: Which of the two.
    """

    shape: tuple[int, ...]
    array: Any
    reversed: bool = False

    def whole(self) -> np.ndarray:
        """The array as MATLAB has it."""
        return np.asarray(self.array[()]).transpose() if self.reversed else np.asarray(self.array)


class MatFile:
    """An open MATLAB file: its arrays of numbers by name.

    Attributes:
        variables: Of the file, in its order.

    Raises:
        DataError: It is none, or damaged.
        MissingDependencyError: The package that reads it is not installed.
    """

    variables: dict[str, Variable]

    def __init__(self, path: Path):
        self.path, self._file = path, None
        self.variables = {}
        self._looked_at, self._above = 0, list[int]()  # objects of HDF5; places of those that the current one is in
        try:
            with open(path, "rb") as f:
                head = f.read(520)
        except OSError as e:
            raise DataError(f"{path} cannot be read ({e.strerror or e}); check the path.") from e
        with within_memory(path):
            if _HDF5 in (head[:8], head[512:]):
                self._open_hdf5()
            else:
                self._open_plain()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    @property
    def windowed(self) -> bool:
        """Whether windows are read without the rest."""
        return self._file is not None

    def listing(self) -> str:
        """Names and sizes of the arrays, for messages."""
        shown = [f"{name} ({' x '.join(map(str, v.shape))})" for name, v in self.variables.items()]
        more = f" and {len(shown) - 12} more" if len(shown) > 12 else ""
        return ", ".join(shown[:12]) + more or "no arrays of numbers"

    def find(self, name: str) -> Variable | None:
        """The array of a name, capitals and small letters alike where that is one; None without."""
        if name in self.variables:
            return self.variables[name]
        alike = [v for k, v in self.variables.items() if k.lower() == name.lower()]
        return alike[0] if len(alike) == 1 else None

    # -- versions 4 to 7 ------------------------------------------------------------------------------------------

    def _open_plain(self) -> None:
        io = optional("scipy.io", "hyper")
        struct = optional("scipy.io.matlab", "hyper").mat_struct
        try:
            content = io.loadmat(self.path, struct_as_record=False, squeeze_me=False)
        except MemoryError:
            raise
        except Exception as e:  # SciPy raises whatever a damaged byte leads to
            why = " ".join(str(e).split())[:80] or type(e).__name__
            raise DataError(f"{self.path} cannot be read as a MATLAB file ({why}); copy or save it again.") from e
        for name, value in content.items():
            if not name.startswith("__"):
                self._walk(struct, name, value, 0)

    def _walk(self, struct: type, name: str, value: Any, depth: int) -> None:
        if depth > _DEPTH or len(self.variables) >= _MOST:
            return
        if isinstance(value, struct):
            for field, item in vars(value).items():
                if not field.startswith("_"):
                    self._walk(struct, f"{name}.{field}", item, depth + 1)
        elif isinstance(value, np.ndarray) and value.dtype == object:
            for n, item in enumerate(value.ravel(order="F")):
                self._walk(struct, name if value.size == 1 else f"{name}[{n}]", item, depth + 1)
        elif isinstance(value, np.ndarray) and value.dtype.kind in "biufc" and value.ndim:
            self.variables[name] = Variable(value.shape, value)

    # -- version 7.3 ----------------------------------------------------------------------------------------------

    def _open_hdf5(self) -> None:
        h5py = optional("h5py", "hyper")
        try:
            self._file = h5py.File(self.path, "r")
            self._descend(h5py, self._file, "", 0)
        except (OSError, RuntimeError, KeyError, ValueError) as e:
            self.close()
            why = " ".join(str(e).split())[:80]
            raise DataError(f"{self.path} cannot be read as a MATLAB 7.3 file ({why}); copy or save it again.") from e
        if self._looked_at > 2 * _MOST:
            say(f"{self.path} leads to more than {2 * _MOST} objects; those beyond are not looked at.")
        turned = {v.reversed for v in self.variables.values() if len(v.shape) > 1}
        if turned and True not in turned:
            say(f"{self.path} was not written by MATLAB: axes of its arrays are taken in the order of the file.")

    def _descend(self, h5py: Any, group: Any, prefix: str, depth: int) -> None:
        for name in group:
            if depth > _DEPTH or len(self.variables) >= _MOST:
                return
            if not isinstance(group.get(name, getlink=True), h5py.HardLink) or name.startswith("#"):
                continue
            self._node(h5py, group[name], f"{prefix}{name}", depth)

    def _node(self, h5py: Any, item: Any, name: str, depth: int) -> None:
        self._looked_at += 1
        if self._looked_at > 2 * _MOST:  # references can lead to few objects in very many ways
            return
        place = h5py.h5o.get_info(item.id).addr
        if place in self._above:  # a circle
            return
        self._above.append(place)
        self._inside(h5py, item, name, depth)
        self._above.pop()

    def _inside(self, h5py: Any, item: Any, name: str, depth: int) -> None:
        if isinstance(item, h5py.Group):
            self._descend(h5py, item, f"{name}.", depth + 1)
        elif isinstance(item, h5py.Dataset) and item.dtype.kind == "O" and item.size <= _MOST and depth <= _DEPTH:
            references = np.asarray(item[()]).transpose().ravel(order="F")  # cells, and structs of several
            for n, reference in enumerate(references):
                if isinstance(reference, h5py.Reference) and reference:
                    self._node(h5py, item.file[reference], name if item.size == 1 else f"{name}[{n}]", depth + 1)
        elif isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf" and item.ndim:
            if item.external or item.is_virtual or "MATLAB_empty" in item.attrs:
                return
            by_matlab = "MATLAB_class" in item.attrs
            self.variables[name] = Variable(item.shape[::-1] if by_matlab else item.shape, item, by_matlab)


def window_of(variable: Variable, axes: Sequence[int], rows: slice, cols: slice, bands: Any) -> np.ndarray:
    """(h, w, b) samples of an array of three axes, or (h, w, 1) of one of two.

    Args:
        variable: The array.
        axes: Which of its axes are rows, columns and, of three, bands.
        rows: With bounds.
        cols: Likewise.
        bands: A slice or places from 0.
    """
    wanted = dict(zip(axes, (rows, cols, bands), strict=False))
    order = sorted(set(bands)) if not isinstance(bands, slice) else None
    if order is not None and len(axes) == 3:  # HDF5 takes places in rising order, each once
        wanted[axes[2]] = order
    index = tuple(wanted[axis] for axis in range(len(axes)))
    if variable.reversed:
        out = np.asarray(variable.array[index[::-1]]).transpose()
    else:
        out = np.asarray(variable.array[index])
    out = out.transpose(axes)
    if len(axes) == 2:
        return out[:, :, None][:, :, bands]
    return out if order is None or order == list(bands) else out[:, :, [order.index(b) for b in bands]]
