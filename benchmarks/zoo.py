"""Measures every row of every card of the zoo again, and writes benchmarks/results/zoo.csv.

    python benchmarks/zoo.py                      # all that can be measured with the data that are here
    python benchmarks/zoo.py vmc-detr-demo --no-val # rows of others stay as they are in the table
    python benchmarks/zoo.py vmc-detr-demo --draw # what a detector gets wrong, to look at before the card says it

A row whose data are not here keeps the numbers of its card and says so in the column `measured`. The command fails
where a number differs from its card by more than 0.005, so that no card says what its weights do not do.
`rsdet get DATA` fetches what may be fetched.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rsdet import RSDet, zoo
from rsdet.errors import DataError
from rsdet.writing import write_csv

RESULTS = Path(__file__).parent / "results"
COLUMNS = (
    "model", "task", "data", "split", "images", "protocol", "imgsz", "measure", "value", "measured", "params_m",
    "gflops_legacy", "gflops_true", "size_mb", "licence", "data_licence",
)  # fmt: skip
CLOSE = 0.005


def measured(model: Any, row: dict[str, Any]) -> dict[str, float]:
    """The measures of a row by their names in the card."""
    settings = {"split": row["split"], "imgsz": row["imgsz"], "protocol": row["protocol"], "workers": 0}
    if "protocol" not in _keys(model):
        del settings["protocol"]
    scores = model.definition.score(model, row["data"], project="runs/zoo", exist_ok=True, **settings)
    plain = {k.removeprefix(f"{row['protocol']} "): float(v) for k, v in scores.items()}
    return {k: plain[k] for k in zoo.measures(row) if k in plain}


def _keys(model: Any) -> set[str]:
    from rsdet.arguments import own_keys

    return set(own_keys(model.task_map[model.task]["validator"]))


def rows_of(name: str, val: bool) -> Iterator[dict[str, Any]]:
    """Rows of the table for the weights of a name, one for each measure."""
    card, model = zoo.card_of(name), RSDet(name)
    cost = model.info(verbose=False, imgsz=card.facts["imgsz"])
    same = {
        "model": name, "task": card.facts["task"], "params_m": round(cost["params"] / 1e6, 3),
        "gflops_legacy": round(cost["gflops_legacy"], 3), "gflops_true": round(cost["gflops_true"], 3),
        "size_mb": float(f"{card.size_mb:.3g}"), "licence": card.facts["licence"],
        "data_licence": card.facts["data"]["licence"],
    }  # fmt: skip
    for row in card.results:
        found, how = {}, "not again"
        if val:
            try:
                found, how = measured(model, row), "again"
            except DataError as e:
                print(f"{name} on {row['data']}: {e}", file=sys.stderr)
                how = "not again: the data are not here"
        for measure, said in zoo.measures(row).items():
            value = round(found.get(measure, said), 4)
            where = {k: row[k] for k in ("data", "split", "images", "protocol", "imgsz")}
            yield {**same, **where, "measure": measure, "value": value, "measured": how, "card": said}


def draw(name: str) -> None:
    """Draw what the weights of a name get wrong on the data of their first row."""
    from failures import failures

    from rsdet.data.resolve import resolve_data

    card, model = zoo.card_of(name), RSDet(name)
    row = card.results[0]
    folder = resolve_data(row["data"], card.facts["task"]).parent
    every = 4 if row["images"] >= 100 else 1
    print(*failures(model, folder, row["split"], row["imgsz"], name, every), sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="weights; all where none are named")
    parser.add_argument("--no-val", dest="val", action="store_false", help="take all numbers from the cards")
    parser.add_argument("--draw", action="store_true", help="only draw failures of the named")
    parser.add_argument("--out", type=Path, default=RESULTS / "zoo.csv")
    args = parser.parse_args()
    if args.draw:
        for name in args.names:
            draw(name)
        return
    rows = [row for name in args.names or zoo.list_weights() for row in rows_of(name, args.val)]
    others = csv.DictReader(args.out.read_text().splitlines()) if args.names and args.out.is_file() else ()
    kept = [row for row in others if row["model"] not in args.names]
    write_csv(
        args.out, COLUMNS, sorted(kept + [{k: row[k] for k in COLUMNS} for row in rows], key=lambda r: r["model"])
    )
    wrong = [row for row in rows if abs(row["value"] - row["card"]) > CLOSE]
    for row in rows:
        print(*(f"{row[k]}" for k in ("model", "data", "split", "protocol", "measure", "value", "measured")))
    for row in wrong:
        print(f"{row['model']}: the card says {row['measure']} {row['card']}, measured {row['value']}", file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
