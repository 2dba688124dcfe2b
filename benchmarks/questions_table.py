"""The page and the JSON of ``questions.py`` from the rows of its runs."""

from __future__ import annotations

import json
import math
import shutil
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rows import mean_and_deviation, write_page

from rsdet.data.questions.records import Question
from rsdet.metrics.answer_margins import margin
from rsdet.metrics.answers import AnswerScores
from rsdet.metrics.calibration import Calibration

NAMES = {"full": "ACR", "no router": "ACR, router off", "no DRE": "ACR, without DRE"}
BASELINES = ("image only", "question only", "per question", "most frequent")
SOURCES = ("hit-uav", "aerial-cars", "rsscn7")
KINDS = ("presence", "count", "comparison", "relation", "theme")
GOAL_TILES = 100  # a minute, with 30 questions each
LENGTHENED = (
    "A first run of the whole network, 16 epochs of 64 questions a step, was still learning by its training loss when "
    "it ended (seed 0: 42.4 %, question only 39.6 %, not surely beaten); so the schedule got 1.5 times the steps, "
    "once, for all runs here."
)
Which = Callable[[Question], bool]


def scores_of(row: dict[str, Any], name: str = "model", which: Which | None = None) -> AnswerScores:
    """Answers of a run's network, or of a baseline beside it, to all questions or some."""
    questions = [Question(*q) for q in row["questions"]]
    answers = row["answers"] if isinstance(row["answers"], list) else row["answers"][name]
    kept = [(q, a) for q, a in zip(questions, answers, strict=True) if which is None or which(q)]
    return AnswerScores([q for q, _ in kept], [a for _, a in kept])


def groups() -> dict[str, Which]:
    """Columns of the table of accuracies."""
    of_source = {s: (lambda q, s=s: q.image.startswith(f"{s}/")) for s in SOURCES}
    return {"all": lambda q: True, **of_source, **{k: (lambda q, k=k: q.kind == k) for k in KINDS}}


def calibrated(row: dict[str, Any]) -> Calibration:
    """Probabilities of a run beside whether the answers are right."""
    return Calibration(np.array(row["confidence"]), scores_of(row).right)


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Numbers of each run, without its answers."""
    found = []
    for row in rows:
        about = {k: row[k] for k in ("variant", "seed", "params", "router", "train_seconds", "cpu_seconds", "ece")}
        names = {"model": "model", **{b: b for b in BASELINES if b in row["answers"]}}
        about["accuracy"] = {n: {g: scores_of(row, n, w).accuracy for g, w in groups().items()} for n in names}
        about["rmse"] = {n: scores_of(row, n).overall.rmse for n in names}
        about["margins"] = {b: vars(margin(scores_of(row), scores_of(row, b))) for b in names if b != "model"}
        about["error"] = {"100 %": calibrated(row).error_at(1.0), "90 %": calibrated(row).error_at(0.9)}
        found.append({**about, "settings": row["settings"], "hardware": row["hardware"], "command": row["command"]})
    return found


def table(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Accuracies of every variant and, beside the full network, of what sees less."""
    head = ("", "seeds", *groups(), "RMSE of counts")
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    chosen = [(NAMES[v], "model", [r for r in runs if r["variant"] == v]) for v in NAMES]
    full = chosen[0][2]
    chosen += [(b, b, full) for b in BASELINES if full and b in full[0]["accuracy"]]
    for label, name, some in chosen:
        if some:
            cells = [_spread([r["accuracy"][name][g] for r in some], name) for g in groups()]
            errors = [r["rmse"][name] for r in some if not math.isnan(r["rmse"][name])]
            cells.append(mean_and_deviation(errors, 2, 1.0) if errors else "no numbers")
            lines.append(f"| {label} | {len(some)} | {' | '.join(cells)} |")
    return lines


def _spread(values: list[float], name: str) -> str:
    told = [v for v in values if not math.isnan(v)]
    same = name not in ("model", "image only")  # no seed changes these
    return mean_and_deviation(told[:1] if same else told, 1) if told else "-"


def verdicts(runs: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> list[str]:
    """Who wins, plainly: against what sees less, and the full network against its parts, seed by seed."""
    full = [r for r in runs if r["variant"] == "full"]
    lines = []
    for b in BASELINES:
        margins = [(r["seed"], r["margins"][b]) for r in full if b in r["margins"]]
        if margins:
            told = "; ".join(_margin(seed, m) for seed, m in margins)
            beaten = sum(m["low"] > 0 for _, m in margins)
            lines.append(f"- **{b}** is {_times(beaten, len(margins), 'beaten')}: {told}.")
    own = {r["seed"]: r for r in rows if r.get("variant") == "full"}
    for variant in (v for v in NAMES if v != "full"):
        some = [r for r in rows if r.get("variant") == variant and r["seed"] in own]
        margins = [(r["seed"], vars(margin(scores_of(own[r["seed"]]), scores_of(r)))) for r in some]
        if margins:
            told = "; ".join(_margin(seed, m) for seed, m in margins)
            sure = sum(m["low"] > 0 for _, m in margins)
            lines.append(
                f"- Against **{NAMES[variant]}** the whole ACR is {_times(sure, len(margins), 'better')}: {told}."
            )
    return lines


def _margin(seed: int, m: dict[str, float]) -> str:
    return f"seed {seed} {100 * m['difference']:+.1f} points ({100 * m['low']:+.1f} to {100 * m['high']:+.1f})"


def _times(n: int, of: int, word: str) -> str:
    if n in (0, of):
        return word if n else f"NOT {word}"
    return f"{word} in {n} of {of} seeds"


def counted(detector: dict[str, Any], rows: Sequence[dict[str, Any]]) -> list[str]:
    """Counts and presence by the network and by boxes, on the questions that both answer."""
    asked = {(q[0], q[1]) for q in detector["questions"]}
    head = ("counts and presence on HIT-UAV", "questions", "count %", "RMSE of counts", "presence %")
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    entries = [(f"ACR, seed {r['seed']}", r, "model") for r in rows if r.get("variant") == "full"]
    for label, row, name in [*entries, (f"boxes of {Path(detector['detector']).stem}", detector, "")]:
        of = {k: scores_of(row, name, lambda q, k=k: q.kind == k and (q.image, q.text) in asked) for k in KINDS[:2]}
        n = sum(s.overall.questions for s in of.values())
        count, presence = of["count"].overall, of["presence"]
        lines.append(
            f"| {label} | {n} | {100 * count.accuracy:.1f} | {count.rmse:.2f} | {100 * presence.accuracy:.1f} |"
        )
    s = detector["settings"]
    return [
        *lines,
        "",
        f"The detector has {detector['params'] / 1e6:.2f} M parameters and was trained from scratch for "
        f"{s['detector_epochs']} epochs at {s['detector_side']} px on the same tiles ({detector['cpu_seconds']} s of "
        f"CPU); a box counts from confidence {detector['conf']:g}, chosen on training tiles. What "
        "a detector that is trained to its end counts, this does not say.",
        "",
    ]


def write(rows: Sequence[dict[str, Any]], work: Path, out: Path) -> Path:
    """Write ``questions.json`` and ``questions.md``, with the picture of attention where there is one."""
    trained = sorted((r for r in rows if "variant" in r), key=lambda r: (r["seed"], list(NAMES).index(r["variant"])))
    other = {r["run"]: r for r in rows if "variant" not in r}
    if not trained:
        raise SystemExit("no training has ended yet")
    runs = summary(trained)
    content = {
        "runs": runs,
        **{k: {a: b for a, b in r.items() if a not in ("questions", "answers")} for k, r in other.items()},
    }
    (out / "questions.json").write_text(json.dumps(content, indent=1) + "\n")
    first, s = runs[0], runs[0]["settings"]
    lines = [
        "# Questions about real scenes: ACR", "",
        f"{Path(s['model']).stem} ({first['params'] / 1e6:.2f} M parameters) from scratch, {s['epochs']} epochs, "
        f"pictures shrunk to {s['side']} px, about {statistics.mean(r['cpu_seconds'] for r in runs) / 60:.0f} minutes "
        f"of CPU a run. This is small: {len(trained[0]['questions'])} questions of the test about "
        f"{len({q[0] for q in trained[0]['questions']})} tiles of pictures that training never saw. Questions are made "
        "of labels by `rsdet questions`' generator, each text with its answers balanced. One network answers for all "
        "three sets. Tested are the last weights; nothing was chosen on the test. Accuracy in percent, mean ± standard "
        "deviation over seeds. `python benchmarks/questions.py --pictures folder` makes it.", "",
        LENGTHENED, "",
        *table(runs), "",
        "Image only is a linear classifier of the network's cells, whatever is asked: the theme is one question "
        "among all others to it. Per question is the most frequent answer of training to the same text.", "",
        "## Who wins", "",
        "Differences of accuracy on all questions, with the interval that holds them with 95 % (bootstrap over "
        "pictures).", "",
        *verdicts(runs, trained), "",
        "## Counts beside a detector", "",
        *(counted(other["detector"], trained) if "detector" in other else ["Left out: no detector was trained.", ""]),
        "## Silence where it does not know", "",
        *[_silence(r) for r in runs if r["variant"] == "full"], "",
        *(["## Throughput", "", *_speed(other["throughput"]), ""] if "throughput" in other else []),
    ]  # fmt: skip
    if (work / "overlay.jpg").is_file():
        shutil.copy(work / "overlay.jpg", out / "questions-attention.jpg")
        lines += [
            "## Where it looked", "",
            "![tiles, and attention over them](questions-attention.jpg)", "",
            "Four tiles of the test, each beside where the first network looked for the number of cars. Pictures: "
            "HIT-UAV, Suo et al., Scientific Data 10, 227, 2023, CC BY 4.0; cut, shrunk and coloured.", "",
        ]  # fmt: skip
    return write_page(out / "questions.md", lines, [])


def _silence(run: dict[str, Any]) -> str:
    whole, most = run["error"]["100 %"], run["error"]["90 %"]
    goal = "halved" if most <= whole / 2 else "the goal, half of it, is not reached"
    return (
        f"- seed {run['seed']}: error {100 * whole:.1f} % where all questions are answered, {100 * most:.1f} % on the "
        f"surest 90 %: {goal}. Calibration error {100 * run['ece']['as trained']:.1f} %, with a temperature "
        f"{100 * run['ece']['with temperature']:.1f} %."
    )


def _speed(row: dict[str, Any]) -> list[str]:
    lines = []
    for backend, seconds in row["seconds"].items():
        tiles = 60 * row["tiles"] / seconds
        verdict = "reached" if tiles >= GOAL_TILES else "NOT reached"
        lines.append(
            f"- {backend}, {row['threads']} threads: {tiles:.0f} tiles with {row['questions']} questions a minute, "
            f"from files to answers; the goal of {GOAL_TILES} is {verdict}."
        )
    return [*lines, *([f"- Not exported: {row['not_exported']}"] if row["not_exported"] else [])]
