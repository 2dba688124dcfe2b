"""What a prediction writes: answers as JSON and as a table, what is known of each, and where the pictures lie."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rsdet.names import csv_cell, printable
from rsdet.tasks.vqa.results import Answer, TileAnswers, VqaResults
from rsdet.writing import free_name, json_text, write_csv, write_text

ANSWERS, DETAILS, TABLE, FOOTPRINTS = "answers.json", "details.json", "answers.csv", "answers.geojson"
TILES, TILE_FOOTPRINTS, ATTENTION = "tiles.csv", "tiles.geojson", "attention"


class AnswerFiles:
    """Collects the answers of a run and writes them into its folder.

    ``answers.json`` has the shape in which the benchmark of EarthVQA takes answers, ``{picture: [{"Type", "Question",
    "Answer"}]}``; ``answers.csv`` has a row for each picture and a column for each question, with an empty cell where
    the network abstains; ``details.json`` has probabilities, types and notes; ``answers.geojson`` the footprints of the
    pictures that have a place on Earth, with their answers. Of rasters that were looked at in tiles, ``tiles.csv`` and
    ``tiles.geojson`` have the answers about each. Where a detector looked, too, tables and features have ``differs``,
    the number of answers that its boxes contradict, and ``details.json`` says which.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.pictures: dict[str, VqaResults] = {}

    def name(self, result: VqaResults) -> str:
        """The name that a picture is to have in the files, another one each time."""
        file = Path(result.path)
        return free_name(file.stem, self.names, file.suffix) + file.suffix

    def add(self, name: str, result: VqaResults) -> None:
        """Take the answers about a picture."""
        self.pictures[name] = result.without_pictures()

    def write(self, folder: Path) -> list[Path]:
        """Write all files; those that there is nothing for are left out."""
        if not self.pictures:
            return []
        answers = {
            name: [{"Type": a.kind, "Question": a.question, "Answer": a.given} for a in r.answers]
            for name, r in self.pictures.items()
        }
        details = {
            name: {
                "path": r.path,
                "size": list(r.orig_shape),
                "tiles": max(1, len(r.tiles)),
                "answers": [a.as_dict() for a in r.answers],
            }
            for name, r in self.pictures.items()
        }
        made = [
            write_text(folder / ANSWERS, json.dumps(answers, ensure_ascii=False, indent=1)),
            write_text(folder / DETAILS, json_text(details)),
            self._table(folder / TABLE),
        ]
        if pieces := [(name, t) for name, r in self.pictures.items() for t in r.tiles]:
            made += self._tiles(folder, pieces)
        placed = [_feature({"image": name}, r) for name, r in self.pictures.items() if r.footprint is not None]
        return [*made, *_collection(folder / FOOTPRINTS, placed)]

    def write_attention(self, folder: Path, name: str, result: VqaResults) -> None:
        """Write, for each question, the picture with where the network looked."""
        for i in range(len(result)):
            result.save(folder / ATTENTION / f"{Path(name).stem}_{i + 1}.png", i)

    def _tiles(self, folder: Path, pieces: Sequence[tuple[str, TileAnswers]]) -> list[Path]:
        """Write a row, and a feature where it has a place, for each tile of the rasters that were parted."""
        columns = _columns(a for _, piece in pieces for a in piece.answers)
        rows, features = [], []
        for name, piece in pieces:
            about = {"image": name, "top": piece.tile.top, "left": piece.tile.left}
            size = {"height": piece.tile.height, "width": piece.tile.width}
            answers = {columns[a.question]: a.given for a in piece.answers}
            rows.append({**about, **size, **_differing(piece), **answers})
            if piece.footprint is not None:
                features.append(_feature(about, piece))
        head = list(dict.fromkeys(key for row in rows for key in row))
        return [write_csv(folder / TILES, head, rows), *_collection(folder / TILE_FOOTPRINTS, features)]

    def _table(self, path: Path) -> Path:
        columns = _columns(a for r in self.pictures.values() for a in r.answers)
        rows = [
            {"image": name, **_differing(r), **{columns[a.question]: a.given for a in r.answers}}
            for name, r in self.pictures.items()
        ]
        return write_csv(path, list(dict.fromkeys(key for row in rows for key in row)), rows)


def _columns(answers: Iterable[Answer]) -> dict[str, str]:
    """Question to the head of its column."""
    return {q: csv_cell(printable(q)) for q in dict.fromkeys(a.question for a in answers)}


def _differing(result: VqaResults | TileAnswers) -> dict[str, int]:
    """How many answers, of all tiles where there are some, a detector's boxes contradict; nothing where none looked."""
    tiles = result.tiles if isinstance(result, VqaResults) else []
    answers = [a for tile in tiles for a in tile.answers] or result.answers
    return {"differs": sum(a.differs for a in answers)} if any(a.check for a in answers) else {}


def _feature(about: Mapping[str, Any], result: VqaResults | TileAnswers) -> dict[str, Any]:
    properties = {**about, **_differing(result), **{a.question: a.given for a in result.answers}}
    return {"type": "Feature", "properties": properties, "geometry": result.footprint}


def _collection(path: Path, features: Sequence[dict[str, Any]]) -> list[Path]:
    """GeoJSON of features; nothing of none."""
    content = {"type": "FeatureCollection", "features": features}
    return [write_text(path, json.dumps(content, ensure_ascii=False))] if features else []
