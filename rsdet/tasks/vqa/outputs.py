"""What a prediction writes: answers as JSON and as a table, what is known of each, and where the pictures lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rsdet.names import csv_cell, printable
from rsdet.tasks.vqa.results import VqaResults
from rsdet.writing import free_name, json_text, write_csv, write_text

ANSWERS, DETAILS, TABLE, FOOTPRINTS, ATTENTION = (
    "answers.json", "details.json", "answers.csv", "answers.geojson", "attention",
)  # fmt: skip


class AnswerFiles:
    """Collects the answers of a run and writes them into its folder.

    ``answers.json`` has the shape in which the benchmark of EarthVQA takes answers, ``{picture: [{"Type", "Question",
    "Answer"}]}``; ``answers.csv`` has a row for each picture and a column for each question, with an empty cell where
    the network abstains; ``details.json`` has probabilities, types and notes; ``answers.geojson`` the footprints of the
    pictures that have a place on Earth, with their answers.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.pictures: dict[str, VqaResults] = {}

    def add(self, result: VqaResults) -> str:
        """Take the answers about a picture; returns the name that it has in the files."""
        file = Path(result.path)
        name = free_name(file.stem, self.names, file.suffix) + file.suffix
        self.pictures[name] = result.without_pictures()
        return name

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
                "tiles": r.tiles,
                "answers": [a.as_dict() for a in r.answers],
            }
            for name, r in self.pictures.items()
        }
        made = [
            write_text(folder / ANSWERS, json.dumps(answers, ensure_ascii=False, indent=1)),
            write_text(folder / DETAILS, json_text(details)),
            self._table(folder / TABLE),
        ]
        placed = [_feature(name, r) for name, r in self.pictures.items() if r.footprint is not None]
        if placed:
            content = {"type": "FeatureCollection", "features": placed}
            made.append(write_text(folder / FOOTPRINTS, json.dumps(content, ensure_ascii=False)))
        return made

    def write_attention(self, folder: Path, name: str, result: VqaResults) -> None:
        """Write, for each question, the picture with where the network looked."""
        for i in range(len(result)):
            result.save(folder / ATTENTION / f"{Path(name).stem}_{i + 1}.png", i)

    def _table(self, path: Path) -> Path:
        asked = dict.fromkeys(a.question for r in self.pictures.values() for a in r.answers)
        columns = {q: csv_cell(printable(q)) for q in asked}
        rows = [
            {"image": name, **{columns[a.question]: a.given for a in r.answers}} for name, r in self.pictures.items()
        ]
        return write_csv(path, ["image", *dict.fromkeys(columns.values())], rows)


def _feature(name: str, result: VqaResults) -> dict[str, Any]:
    about: dict[str, Any] = {"image": name, **{a.question: a.given for a in result.answers}}
    return {"type": "Feature", "properties": about, "geometry": result.footprint}
