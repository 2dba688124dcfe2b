"""Writes the score as a page."""

from __future__ import annotations

from collections import Counter

GOAL = 95.0


def page(rows: list[dict], drawn: int, table: dict, how: str) -> str:
    """Return Markdown: the score of each room, then what survives.

    Args:
        rows: Judged mutants.
        drawn: Size of the whole sample.
        table: `rooms` and `equivalent`, id -> reason.
        how: Command and machine.
    """
    same = table["equivalent"]
    cut = sum(row["verdict"] == "cut" for row in rows)
    rows = [row for row in rows if row["verdict"] != "cut"]
    verdicts = {r["id"]: r["verdict"] for r in rows}
    verdicts |= {r["id"]: "equivalent" for r in rows if r["verdict"] == "survived" and r["id"] in same}
    columns = ("drawn", "judged", "killed", "timeout", "equivalent", "survived", "score", "score at first")
    lines = ["| room | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for room in [*table["rooms"], "all"]:
        here = [row for row in rows if room in (row["room"], "all")]
        of_room = drawn if room == "all" else table["rooms"][room]["sample"]
        n, first = (Counter(found) for found in ((verdicts[r["id"]] for r in here), (r["first"] for r in here)))
        lines.append(
            f"| {room} | {of_room} | {len(here)} | {n['killed']} | {n['timeout']} | {n['equivalent']} "
            f"| {n['survived']} | {_score(n)} | {_score(first - Counter(survived=n['equivalent']))} |"
        )
    left = [row for row in rows if verdicts[row["id"]] not in ("killed", "timeout")]
    return "\n".join(
        [
            "# Mutation score",
            "",
            f"Of {drawn} changes drawn from the code, one a place, {len(rows)} have been judged, in the order of the "
            "sample: any beginning of it is spread over the rooms like the whole. "
            f"{cut} more are open, since their tests took longer than a mutant is given. The goal is "
            f"{GOAL:g} % of those not shown equivalent. A timeout counts as noticed. Types, strings, messages and "
            "logging are never changed, nor arithmetic to operators of bits, which arrays of floats refuse anyway. "
            "*Score at first* is that before tests were added, or more of them named, for survivors: it alone "
            "says something about the code that was not drawn.",
            "",
            *lines,
            "",
            f"By {how}. A run goes on from [mutants.csv](mutants.csv), which names the test that noticed each; "
            "`make mutants MUTANTS='--again survived'` judges survivors anew after a test has been added, "
            "`MUTANTS='--again cut --budget 100'` those whose tests were cut.",
            "",
            "## Noticed since a test was added or named",
            "",
            *(
                f"- {r['file']}:{r['line']} {r['operator']}, now by `{r['noticed_by']}`"
                for r in rows
                if r["first"] == "survived" and r["verdict"] != "survived"
            ),
            "",
            "## Not noticed",
            "",
            "| id | where | operator | was | becomes | decided |",
            "| --- | --- | --- | --- | --- | --- |",
            *(
                f"| {r['id']} | {r['file']}:{r['line']} | {r['operator']} | {_code(r['was'])} | {_code(r['becomes'])} "
                f"| {'equivalent: ' + same[r['id']] if r['id'] in same else 'open'} |"
                for r in left
            ),
            "",
        ]
    )


def _score(n: Counter) -> str:
    noticed, judged = n["killed"] + n["timeout"], n["killed"] + n["timeout"] + n["survived"]
    return f"{100 * noticed / judged:.1f} %" if judged else "-"


def _code(text: str) -> str:
    return "`` " + text.replace("|", "\\|") + " ``" if text else ""
