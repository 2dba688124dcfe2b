"""From an empty environment to the first boxes on a picture of one's own: lines, minutes and megabytes, beside `yolo`.

    python benchmarks/first_minutes.py --picture pic.jpg --torch "torch torchvision --index-url https://…/whl/cpu"

Each tool gets an environment of its own, and nothing from a cache. What is typed is counted as it stands in the table;
fetching the source of rsdet is not. Bytes are those of the archives that pip says it took, and of the files that lie in
the environment afterwards. `yolo` would fetch weights with its last line; where it cannot (``--weights`` not given), a
network without weights is run in their place, which takes as long and finds nothing.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
PAGE = """# The first minutes

From an empty environment to boxes on a picture of one's own, as typed:

{typed}
{rows}

On {cpu}, {cpu_cores_usable} cores, load {cpu_load_1min} at the end; Python {python}. One tool came after the other, so
that what else the machine did need not be the same for both: compare megabytes rather than minutes. The package index
was a local mirror: over a network, installing takes as long as the megabytes do. {pytorch}rsdet brings its weights in
the package; they have learnt from pictures of streets ([card](../../docs/weights.md)). The picture is
{picture}. {weights}

`python benchmarks/first_minutes.py` makes this page.
"""
OF_INDEX = """PyTorch is that of the index, with CUDA,
which both ask for; the line for the CPU ([start](../../docs/start.md)) replaces most of these megabytes, and could not
be run here. """
NO_WEIGHTS = """`yolo` fetches weights at its first prediction, which was not possible here: its last line was run with
a network without weights, which finds nothing, and the weights are not counted."""


def archive_bytes(url: str) -> int:
    """Size of what pip took from an address; a folder is built and taken as it is."""
    if url.startswith("file:"):
        path = Path(unquote(urlsplit(url).path))
        return path.stat().st_size if path.is_file() else 0
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD")) as answer:
        return int(answer.headers["Content-Length"])


def timed(line: list[str], folder: Path) -> tuple[float, str]:
    """Seconds of a command, and what it said."""
    begin = time.perf_counter()
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{shlex.join(line)}: {done.stderr.strip()[-600:]}")
    return time.perf_counter() - begin, done.stdout + done.stderr


def tried(name: str, lines: list[str], args: argparse.Namespace) -> dict[str, Any]:
    """Type the lines of a tool in an environment of its own."""
    folder = args.work / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(args.picture, folder / f"pic{args.picture.suffix}")
    seconds: dict[str, float] = {"environment": timed([sys.executable, "-m", "venv", "env"], folder)[0]}
    size = sum(f.stat().st_size for f in (folder / "env").rglob("*") if f.is_file())
    fetched, said = 0, ""
    for line in lines:
        words = shlex.split(line)
        words[0] = str(folder / "env" / "bin" / words[0])
        if words[1] == "install":
            words = [str(ROOT) if w == "." else w for w in words]
            report = folder / "report.json"
            words += ["--no-cache-dir", "--report", str(report)]
        seconds[line], said = timed(words, folder)
        if words[1] == "install":
            taken = json.loads(report.read_text(encoding="utf-8"))["install"]
            fetched += sum(archive_bytes(item["download_info"]["url"]) for item in taken)
        print(f"{name}: {seconds[line]:.0f} s for {line}", flush=True)
    again, _ = timed(words, folder)
    files = sum(f.stat().st_size for f in (folder / "env").rglob("*") if f.is_file())
    return {
        "lines": lines, "seconds": {k: round(v, 1) for k, v in seconds.items()}, "again_seconds": round(again, 1),
        "fetched_mb": round(fetched / 1e6), "installed_mb": round((files - size) / 1e6),
        "said": next((s.strip() for s in said.splitlines() if s.startswith("image 1/1")), "").partition(": ")[2],
    }  # fmt: skip


def write_page(known: dict[str, Any], out: Path) -> None:
    """Write ``first-minutes.md`` of what ``first-minutes.json`` holds."""
    found = known["tools"]
    rows = ["|  | rsdet | yolo |", "| --- | --- | --- |"]
    said = {
        "lines typed": lambda t: len(t["lines"]),
        "minutes of installing": lambda t: f"{sum(s for k, s in t['seconds'].items() if 'install' in k) / 60:.1f}",
        "seconds of the first prediction": lambda t: t["seconds"][t["lines"][-1]],
        "seconds of the second": lambda t: t["again_seconds"],
        "MB fetched": lambda t: t["fetched_mb"],
        "MB installed": lambda t: t["installed_mb"],
        "what it said": lambda t: t["said"],
    }
    rows += [f"| {what} | {' | '.join(str(say(t)) for t in found.values())} |" for what, say in said.items()]
    typed = [f"```bash\n{chr(10).join(t['lines'])}\n```\n" for t in found.values()]
    page = PAGE.format(
        typed="\n".join(typed), rows="\n".join(rows), picture=known["picture"], **known["about"],
        pytorch="" if known["torch"] else OF_INDEX, weights="" if known["weights_of_yolo"] else NO_WEIGHTS,
    )  # fmt: skip
    (out / "first-minutes.md").write_text(page, encoding="utf-8")
    print(page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, required=True, help="a picture of one's own")
    parser.add_argument("--what", help="where the picture is from, for the page; its name where nothing is said")
    parser.add_argument("--torch", help="what installs PyTorch for the CPU; else the packages bring what the index has")
    parser.add_argument("--weights", help="weights that yolo can have; without them, a network of random weights")
    parser.add_argument("--work", type=Path, default=Path("runs/first-minutes"))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    args = parser.parse_args()
    from rsdet.deploy.hardware import describe

    args.work = args.work.absolute()
    pic, first = f"source=pic{args.picture.suffix}", [f"pip install {args.torch}"] if args.torch else []
    model = args.weights or "yolo11n.yaml"
    found = {
        "rsdet": tried("rsdet", [*first, "pip install .", f"rsdet predict model=yolo11n-vehicles {pic}"], args),
        "yolo": tried("yolo", [*first, "pip install ultralytics", f"yolo predict model={model} {pic}"], args),
    }  # fmt: skip
    picture = args.what or args.picture.name
    known = {"about": describe("cpu"), "picture": picture, "torch": args.torch, "weights_of_yolo": args.weights}
    known["tools"] = found
    text = json.dumps(known, indent=1) + "\n"
    (args.out / "first-minutes.json").write_text(text, encoding="utf-8")
    write_page(known, args.out)


if __name__ == "__main__":
    main()
