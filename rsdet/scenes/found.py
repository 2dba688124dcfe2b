"""What was found in a scene: arrays in pixels of the scene, and as bytes for the ledger."""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np


@dataclass(frozen=True)
class Found:
    """Objects of a scene, of one tile or of many; all arrays have N rows.

    Attributes:
        boxes_xyxy: (N, 4) float64, x1, y1, x2, y2 in pixels of the scene (0, 0 is the outer corner of its first pixel).
        scores: (N,) float32.
        classes: (N,) int32.
        tiles: (N,) int64, number of the tile (of the plan) that found it.
        scales: (N,) int16, place of the resolution in ``scales=``.
        cut: (N,) bool, whether it touches an edge of its tile that is no edge of the scene.
        guest: (N,) bool, whether its centre lies outside the core of its tile: kept only where no other tile has it.
        corners: (N, 4, 2) float64 of turned boxes, in pixels of the scene; None for other tasks.
        outlines: N lists of (P, 2) float64 polygons of masks, in pixels of the scene; None for other tasks.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    tiles: np.ndarray
    scales: np.ndarray
    cut: np.ndarray
    guest: np.ndarray
    corners: np.ndarray | None = None
    outlines: Sequence[Sequence[np.ndarray]] | None = None

    _ARRAYS: ClassVar[dict[str, Any]] = {
        "boxes_xyxy": np.float64, "scores": np.float32, "classes": np.int32, "tiles": np.int64, "scales": np.int16,
        "cut": bool, "guest": bool,
    }  # fmt: skip

    _KINDS: ClassVar[dict[str, np.dtype]] = {
        **{name: np.dtype(kind) for name, kind in _ARRAYS.items()},
        "corners": np.dtype(np.float64), "rings_of": np.dtype(np.int64), "points_of": np.dtype(np.int64),
        "points": np.dtype(np.float64),
    }  # fmt: skip
    _ROWS: ClassVar[dict[str, tuple[int, ...]]] = {"boxes_xyxy": (4,), "corners": (4, 2), "points": (2,)}

    def __post_init__(self) -> None:
        for name, kind in self._ARRAYS.items():
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=kind))
        if self.corners is not None:
            object.__setattr__(self, "corners", np.ascontiguousarray(self.corners, np.float64).reshape(-1, 4, 2))

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def none(cls) -> Found:
        """Nothing at all."""
        return cls(np.zeros((0, 4)), *([np.zeros(0)] * 6))

    def take(self, which: np.ndarray) -> Found:
        """Some of the objects, by numbers or by a mask of N."""
        numbers = np.flatnonzero(which) if which.dtype == bool else which
        more = {f.name: getattr(self, f.name)[numbers] for f in fields(self) if f.name in self._ARRAYS}
        return replace(
            self,
            **more,
            corners=None if self.corners is None else self.corners[numbers],
            outlines=None if self.outlines is None else [self.outlines[i] for i in numbers],
        )

    @classmethod
    def joined(cls, parts: Sequence[Found]) -> Found:
        """All objects of several."""
        parts = [p for p in parts if len(p)]
        if not parts:
            return cls.none()
        arrays = {name: np.concatenate([getattr(p, name) for p in parts]) for name in cls._ARRAYS}
        corners = None if parts[0].corners is None else np.concatenate([p.corners for p in parts])  # type: ignore[misc]
        outlines = None if parts[0].outlines is None else [o for p in parts for o in p.outlines or ()]
        return cls(**arrays, corners=corners, outlines=outlines)

    def in_order(self) -> Found:
        """The same objects in the one order that depends on nothing but themselves: best first."""
        order = np.argsort(-self.scores, kind="stable")
        equal = np.diff(self.scores[order]) == 0
        ties = np.flatnonzero(np.append(False, equal) | np.append(equal, False))
        order[ties] = order[ties][np.lexsort(self._keys(order[ties]))]
        return self.take(order)

    def _keys(self, some: np.ndarray) -> list[np.ndarray]:
        """All that some of the objects are, for ``np.lexsort``: the score counts most, outlines (as a sum) least."""
        boxes = self.boxes_xyxy[some]
        keys = [boxes[:, 3], boxes[:, 2], boxes[:, 1], boxes[:, 0], self.tiles[some], self.scales[some]]
        keys += [self.classes[some], -self.scores[some]]
        if self.corners is not None:
            keys = [*self.corners[some].reshape(-1, 8).T, *keys]
        if self.outlines is not None:
            sums = [zlib.crc32(b"".join(np.asarray(r, "<f8").tobytes() for r in self.outlines[i])) for i in some]
            keys.insert(0, np.array(sums, np.int64))
        return [self.cut[some], self.guest[some], *keys]

    def to_bytes(self) -> bytes:
        """The objects as bytes without code: names and lengths of the arrays as a line of JSON, then their numbers."""
        arrays: dict[str, Any] = {name: getattr(self, name) for name in self._ARRAYS}
        if self.corners is not None:
            arrays["corners"] = self.corners
        if self.outlines is not None:
            rings = [ring for outline in self.outlines for ring in outline]
            arrays["rings_of"] = np.array([len(o) for o in self.outlines], np.int64)
            arrays["points_of"] = np.array([len(r) for r in rings], np.int64)
            arrays["points"] = np.concatenate([*rings, np.zeros((0, 2))]).astype(np.float64)
        sizes = {name: array.size for name, array in arrays.items()}
        numbers = [a.astype(self._KINDS[name].newbyteorder("<")).tobytes() for name, a in arrays.items()]
        return json.dumps(sizes).encode() + b"\n" + b"".join(numbers)

    @classmethod
    def of_bytes(cls, data: bytes) -> Found:
        """What :meth:`to_bytes` gave.

        Raises:
            ValueError: Something else.
        """
        head, _, numbers = data.partition(b"\n")
        sizes, arrays, at = json.loads(head), {}, 0
        for name, size in sizes.items():
            kind = cls._KINDS[name].newbyteorder("<")
            values = np.frombuffer(numbers, kind, size, at)
            arrays[name], at = values.reshape(-1, *cls._ROWS.get(name, ())), at + values.nbytes
        if at != len(numbers) or len({len(arrays[name]) for name in cls._ARRAYS}) != 1:
            raise ValueError("arrays that are cut short or of different lengths")
        outlines = None
        if "points" in arrays:
            ends = np.cumsum(arrays.pop("points_of"))
            rings = np.split(arrays.pop("points"), ends)[:-1]
            starts = np.cumsum([0, *arrays.pop("rings_of")])
            outlines = [rings[a:b] for a, b in itertools.pairwise(starts)]
        return cls(**arrays, outlines=outlines)
