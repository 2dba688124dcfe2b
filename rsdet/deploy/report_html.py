"""One page that shows a benchmark: opens from a file, asks for nothing from the network, runs no script.

All samples are drawn, not a summary of them; accuracy is only drawn against the latency of the artifact it was
measured with, and each protocol has a plot of its own. What was not measured is said in words.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.deploy import plots_svg as plots
from rsdet.deploy.memory import UNKNOWN
from rsdet.deploy.records import BenchmarkResult, foreign_record, how_measured, pass_name, passes, read_record
from rsdet.deploy.report_style import STYLE
from rsdet.errors import DataError
from rsdet.writing import write_text

_SOFTWARE = ("os", "python", "rsdet", "git_commit", "torch", "torchvision", "ultralytics", "onnx", "onnxruntime",
             "openvino", "tensorrt", "numpy", "opencv-python", "cuda", "gpu_driver")  # fmt: skip
_PICTURE_PX = 900  # longest side of an embedded picture
_TOP_ROWS = 12  # rows of a model shown one by one
_FEW = 20  # with fewer samples p95 is the slowest one


def write_html(
    source: BenchmarkResult | Mapping[str, Any] | str | Path,
    path: str | Path,
    *,
    pictures: Mapping[str, Any] | None = None,
    layers: Mapping[str, Sequence[Any]] | None = None,
    title: str | None = None,
) -> Path:
    """Write the page of a benchmark.

    Args:
        source: The result, its record, or the JSON file it wrote.
        path: The page; its folder is made when missing.
        pictures: Caption to picture: an image file, or a ``(H, W, 3)`` uint8 array in BGR. They are embedded.
        layers: Model to its rows (:class:`rsdet.deploy.rowtimes.RowTime`, or the same as dictionaries), besides those
            that the record holds.
        title: Heading; the models and the hardware when left out.

    Returns:
        The path of the page.

    Raises:
        DataError: The JSON file is none of a benchmark, or a picture cannot be read.
    """
    if isinstance(source, (str, Path)):
        with foreign_record():
            return write_html(read_record(source), path, pictures=pictures, layers=layers, title=title)
    record = source.record() if isinstance(source, BenchmarkResult) else source
    return write_text(path, page(record, pictures or {}, {**(record.get("layers") or {}), **(layers or {})}, title))


def page(
    record: Mapping[str, Any],
    pictures: Mapping[str, Any],
    layers: Mapping[str, Sequence[Any]],
    title: str | None = None,
) -> str:
    """Return the page as text; see :func:`write_html`."""
    rows, hw, called = record["rows"], record["hardware"], passes(record)
    models = list(dict.fromkeys(str(r["model"]) for r in rows))
    where = str(hw.get("gpu") or f"{hw.get('cpu')}, {hw.get('threads')} threads")
    heading = title or f"Benchmark: {', '.join(models[:3])}{' and others' if len(models) > 3 else ''}"
    colours = {m: i for i, m in enumerate(models)}
    body = [
        f"<header><h1>{escape(heading)}</h1><p class='soft'>{escape(where)} · {escape(str(hw.get('date', '')))}</p>",
        _tiles(record),
        _warnings(record),
        "</header>",
        _accuracy(record, colours),
        *(_distribution(rows, name, title, colours) for name, title in called.items()),
        _enhance(record.get("enhance") or []),
        _layers(layers),
        _pictures(pictures, (record.get("settings") or {}).get("pictures")),
        _tables(rows, called),
        _origin(record),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # The browser itself holds the page to its promise: nothing but inline styles and embedded pictures.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">'
        f'<link rel="icon" href="data:,"><title>{escape(heading)}</title><style>{STYLE}</style></head>'
        f"<body><main>{''.join(body)}<footer>Written by rsdet {escape(str(hw.get('rsdet', '')))}. "
        "Percentiles are nearest rank, no sample is dropped.</footer></main></body></html>\n"
    )


# ------------------------------------------------------------------------------------------------- head


def _tiles(record: Mapping[str, Any]) -> str:
    rows = record["rows"]
    fast = min(rows, key=_per_image)
    most = max(rows, key=lambda r: r.get("images_per_s", 0))
    found = [
        ("Least time per image", f"{_per_image(fast):.4g} ms", f"network alone, {_name(fast)}"),
        ("Highest rate", f"{most.get('images_per_s', 0):.4g} images/s", f"network alone, {_name(most)}"),
    ]
    metric = next((m for m in _metrics(rows) if m.endswith(" AP")), None)
    if metric:
        best = max((r for r in rows if metric in (r.get("accuracy") or {})), key=lambda r: r["accuracy"][metric])
        found.append((f"Highest {metric}", f"{best['accuracy'][metric]:.4f}", _name(best)))
    states = [w["throttled"] for w in (record.get("watch") or {}).values()]
    state = "yes" if "yes" in states else "no" if states and set(states) == {"no"} else "unknown"
    found.append(("Throttled while measuring", state, "clocks and temperature below"))
    cells = (f"<div><dt>{escape(k)}</dt><dd>{escape(v)}<small>{escape(s)}</small></dd></div>" for k, v, s in found)
    return f"<dl class='tiles'>{''.join(cells)}</dl>"


def _warnings(record: Mapping[str, Any]) -> str:
    rows, hw, called, said = record["rows"], record["hardware"], passes(record), []
    said += [
        f"Throttled in the pass “{pass_name(name, called)}”: {'; '.join(w['throttled_by'])}."
        for name, w in (record.get("watch") or {}).items()
        if w["throttled"] == "yes"
    ]
    load = hw.get("cpu_load_1min")
    if load is not None and load > (hw.get("threads") or 1) + 0.75:  # the run itself is one of them
        said.append(
            f"The load of the machine was {load}, more than the {hw.get('threads')} threads of this run: other "
            "programs ran beside it and made the times longer."
        )
    unsettled = sum(not r[p].get("warmup_stable", True) for r in rows for p in called)
    if unsettled:
        said.append(
            f"Durations had not settled when the warm-up ended in {unsettled} of {len(called) * len(rows)} cases."
        )
    few = min(r[p]["n"] for r in rows for p in called)
    if few < _FEW:
        said.append(f"There are as few as {few} samples; with fewer than {_FEW}, p95 is the slowest of them.")
    if any(r.get("parity") == "not enforced" for r in rows):
        said.append("Exported artifacts were not held to agree with their model (weights that were never trained).")
    return f"<ul class='warn'>{''.join(f'<li>{escape(s)}</li>' for s in said)}</ul>" if said else ""


# ------------------------------------------------------------------------------------------------- plots


def _accuracy(record: Mapping[str, Any], colours: Mapping[str, int]) -> str:
    rows, data = record["rows"], (record.get("settings") or {}).get("data")
    head = "<section aria-labelledby='accuracy'><h2 id='accuracy'>Accuracy against latency</h2>"
    metrics = _metrics(rows)
    if not metrics:
        why = "why stands at the end" if data else "pass data= for it"
        return f"{head}<p class='soft'>Accuracy was not measured in this run; {why}.</p></section>"
    shapes = list(dict.fromkeys(str(r["format"]) for r in rows))
    keys = "".join(
        f"<li><svg class='key' viewBox='-9 -9 18 18' aria-hidden='true'>{plots.marker(s, 0, 0)}</svg> {escape(s)}</li>"
        for s in shapes
    )
    figures = []
    for metric in [m for m in metrics if m.endswith(" AP")] or metrics[:1]:  # AP50 and others stand in the table
        dots = [
            plots.Dot(str(r["model"]), str(r["format"]), r["network"]["median_ms"], r["network"]["p95_ms"],
                      float(r["accuracy"][metric]), colours[str(r["model"])])
            for r in rows if metric in (r.get("accuracy") or {})
        ]  # fmt: skip
        told = f"{metric} against median latency of {len(dots)} artifacts; the numbers are in the tables below"
        drawn = plots.scatter(dots, metric, told, f"plot-accuracy-{len(figures)}")
        caption = (
            f"{escape(metric)}: the word before the metric is the protocol it was counted by. Each mark is one "
            "artifact, judged and timed as the same file; its line ends at p95."
        )
        figures.append(
            f"<figure class='card'><ul class='legend'>{keys}</ul>{_scroll(drawn, metric)}"
            f"<figcaption>{caption}</figcaption></figure>"
        )
    return f"{head}{''.join(figures)}</section>"


def _distribution(rows: Sequence[Mapping[str, Any]], name: str, title: str, colours: Mapping[str, int]) -> str:
    strips = [plots.Strip(_name(r), r[name]["samples_ms"], colours[str(r["model"])]) for r in rows]
    title = f"Latency, {title}"
    ident = f"latency-{name.replace('_', '-')}"
    told = f"{title}: all samples of {len(strips)} artifacts; the percentiles are in the tables below"
    caption = (
        "Every dot is one run, in each row from top to bottom in the order they were measured: a slope is drift. "
        "The box holds the middle half, the bold line is the median, the diamond p95."
    )
    return (
        f"<section aria-labelledby='{ident}'><h2 id='{ident}'>{escape(title)}</h2><figure class='card'>"
        f"{_scroll(plots.distributions(strips, told, f'plot-{ident}'), title)}"
        f"<figcaption>{caption}</figcaption></figure></section>"
    )


def _enhance(parts: Sequence[Mapping[str, Any]]) -> str:
    """Time of the enhancers before the detectors, part by part."""
    if not parts:
        return ""
    keys = ("median_ms", "p90_ms", "p95_ms", "p99_ms", "share")
    heads = "".join(f"<th scope='col'>{h}</th>" for h in ("part", "median", "p90", "p95", "p99", "of the chain"))
    body = "".join(
        f"<tr><th scope='row'>{escape(str(r['part']))}</th>{''.join(_cell(r.get(k)) for k in keys)}</tr>" for r in parts
    )
    caption = "Enhancers before the detectors: milliseconds per picture"
    table = f"<table><caption>{caption}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    return (
        f"<section aria-labelledby='enhance'><h2 id='enhance'>Enhancing</h2><div class='card'>{_scroll(table, caption)}"
        "</div></section>"
    )


def _layers(layers: Mapping[str, Sequence[Any]]) -> str:
    if not layers:
        return ""
    parts = ["<section aria-labelledby='layers'><h2 id='layers'>Where the time goes</h2>",
             "<p class='soft'>Rows of each model in PyTorch, slowest first, with quartiles.</p>"]  # fmt: skip
    for model, given in layers.items():
        found = sorted((r if isinstance(r, Mapping) else vars(r) for r in given), key=lambda r: -r["median_ms"])
        top, rest = found[:_TOP_ROWS], found[_TOP_ROWS:]
        longest = max([r["median_ms"] for r in top] + [1e-9])
        body = []
        for r in top:
            rate = f"{r['gflops_per_s']:.1f}" if r.get("gflops_per_s") else "–"
            spread = f"{r['low_ms']:.2f} to {r['high_ms']:.2f}" if r.get("high_ms") is not None else "–"
            body.append(
                f"<tr><th scope='row'>{escape(str(r['index']))} {escape(str(r['type']))}</th><td class='cell'>"
                f"<span class='bar' style='width:{100 * r['median_ms'] / longest:.1f}%'></span></td>"
                f"<td>{r['median_ms']:.2f}</td><td>{spread}</td><td>{100 * r['share']:.1f}</td>"
                f"<td>{r['gflops']:.3f}</td><td>{rate}</td></tr>"
            )
        if rest:
            ms, share, gflops = (sum(r[k] for r in rest) for k in ("median_ms", "share", "gflops"))
            body.append(
                f"<tr><th scope='row'>{len(rest)} other rows together</th><td class='cell'></td><td>{ms:.2f}</td>"
                f"<td>–</td><td>{100 * share:.1f}</td><td>{gflops:.3f}</td><td>–</td></tr>"
            )
        heads = "".join(f"<th scope='col'>{h}</th>" for h in ("row", "", "ms", "quartiles", "%", "GFLOPs", "GFLOPs/s"))
        table = (
            f"<table class='layers'><caption>{escape(str(model))}: time of each row</caption><thead><tr>{heads}"
            f"</tr></thead><tbody>{''.join(body)}</tbody></table>"
        )
        parts.append(f"<div class='card'>{_scroll(table, f'rows of {model}')}</div>")
    return "".join([*parts, "</section>"])


def _pictures(pictures: Mapping[str, Any], timed: str | None) -> str:
    """What models make of pictures; ``timed`` says which pictures the run had."""
    if not pictures:
        return ""
    figures = "".join(
        f"<figure><img src='{_embedded(picture)}' alt='{escape(f'Result: {caption}', quote=True)}'>"
        f"<figcaption>{escape(str(caption))}</figcaption></figure>"
        for caption, picture in pictures.items()
    )
    origin = f"<p class='soft'>Timed, and shown here in part: {escape(str(timed))}.</p>" if timed else ""
    return (
        f"<section aria-labelledby='pictures'><h2 id='pictures'>Sample results</h2>{origin}"
        f"<div class='card pictures'>{figures}</div></section>"
    )


def _embedded(picture: Any) -> str:
    """A picture as a data URI, no larger than it is shown."""
    import cv2

    image = picture
    if isinstance(picture, (str, Path)):
        try:
            image = cv2.imdecode(np.frombuffer(Path(picture).read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        except (OSError, cv2.error) as e:
            raise DataError(f"picture {picture} cannot be read ({e}); pass an image file.") from e
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise DataError(f"picture {picture!r:.80} is no image; pass a PNG or JPEG file or a uint8 array in BGR.")
    scale = _PICTURE_PX / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


# ------------------------------------------------------------------------------------------------- tables


def _tables(rows: Sequence[Mapping[str, Any]], called: Mapping[str, str]) -> str:
    metrics = _metrics(rows)
    times = ("median_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms")
    rates = ("mpx_per_s", "km2_per_s")[: 1 + any("km2_per_s" in r for r in rows)]
    groups = [(title, [t.removesuffix("_ms") for t in times] + ["ratio", "n"]) for title in called.values()]
    speed = _table(
        f"Speed: milliseconds per run; ratios are to {rows[0].get('ratio_to', 'the first')}, above 1 is slower",
        [*groups, ("images/s, network alone", ["at this batch", "best", "best batch"]),
         ("", ["Mpx/s", "km2/s"][: len(rates)])],
        [
            [*(v for p in called for v in (*(r[p].get(t) for t in times), r.get(f"ratio_{p}"), r[p]["n"])),
             *map(r.get, ("images_per_s", "best_images_per_s", "best_batch", *rates))]
            for r in rows
        ],
        rows,
    )  # fmt: skip
    cost = _table(
        "Cost: GFLOPs legacy is the convention of papers (thop), true is every multiply-add; both at batch 1",
        [("", ["M params"]), ("GFLOPs", ["legacy", "true"]), ("", ["file MB"]),
         ("peak memory, MiB", ["host", "device"]), ("energy", ["mJ per image"]), ("", ["agreement with the model"])],
        [
            [*(r.get(k) for k in ("params_m", "gflops_legacy", "gflops_true", "size_mb", "host_memory_mib",
                                  "device_memory_mib", "energy_mj_per_image")), str(r.get("parity", ""))]
            for r in rows
        ],
        rows,
    )  # fmt: skip
    parts = ["<section aria-labelledby='numbers'><h2 id='numbers'>All numbers</h2>", speed, cost]
    if metrics:
        judged = [r for r in rows if r.get("accuracy")]
        values = [[r["accuracy"].get(m) for m in metrics] for r in judged]
        caption = "Accuracy of the artifacts that were timed; each column names its protocol"
        parts.append(_table(caption, [("", metrics)], values, judged))
    return "".join([*parts, "</section>"])


def _table(
    caption: str, groups: Sequence[tuple[str, list[str]]], values: Sequence[Sequence[Any]], rows: Sequence[Any]
) -> str:
    over = "".join(f"<th scope='colgroup' class='group' colspan='{len(c)}'>{escape(g)}</th>" if g else
                   f"<td colspan='{len(c)}'></td>" for g, c in groups)  # fmt: skip
    over = f"<tr><td></td>{over}</tr>" if any(g for g, _ in groups) else ""
    heads = "".join(f"<th scope='col'>{escape(c)}</th>" for _, columns in groups for c in columns)
    body = "".join(
        f"<tr><th scope='row'>{escape(_name(r))}</th>{''.join(map(_cell, line))}</tr>"
        for r, line in zip(rows, values, strict=True)
    )
    table = (
        f"<table><caption>{escape(caption)}</caption><thead>{over}<tr><th scope='col'>artifact</th>{heads}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )
    return f"<div class='card'>{_scroll(table, caption)}</div>"


def _cell(value: Any) -> str:
    if value is None or value == UNKNOWN:
        return f"<td class='none'>{UNKNOWN if value else '–'}</td>"
    if isinstance(value, str):
        return f"<td class='text'>{escape(value)}</td>"
    return f"<td>{value if isinstance(value, int) else _digits(value)}</td>"


def _digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


# ------------------------------------------------------------------------------------------------- where from


def _origin(record: Mapping[str, Any]) -> str:
    hw, settings = record["hardware"], record.get("settings") or {}
    hardware = {k: v for k, v in hw.items() if k not in _SOFTWARE}
    notes = [*how_measured(record), *(record.get("notes") or [])]
    cards = [("Hardware", hardware), ("Software", {k: hw.get(k) for k in _SOFTWARE}), ("Settings", settings)]
    shown = "".join(
        f"<div class='card'><h3>{name}</h3><dl class='facts'>"
        + "".join(f"<dt>{escape(_fact(k))}</dt><dd>{escape(_said(v))}</dd>" for k, v in facts.items())
        + "</dl></div>"
        for name, facts in cards
        if facts
    )
    return (
        "<section aria-labelledby='origin'><h2 id='origin'>What it was measured on, and how</h2>"
        f"<div class='pair'>{shown}</div><div class='card'><h3>How it was measured</h3><ul>"
        f"{''.join(f'<li>{escape(n)}</li>' for n in notes)}</ul><h3>Command</h3>"
        f"<pre><code>{escape(str(record.get('command', '')))}</code></pre></div></section>"
    )


def _fact(key: str) -> str:
    return f"{key[:-2]} (s)".replace("_", " ") if key.endswith("_s") else key.replace("_", " ")


def _said(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "unknown or none" if value is None else str(value)


def _per_image(row: Mapping[str, Any]) -> float:
    return row["network"]["median_ms"] / row["batch"]


def _metrics(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(m for r in rows for m in r.get("accuracy") or {}))


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['model']} {row['format']}" + (f" b{row['batch']}" if row["batch"] > 1 else "")


def _scroll(content: str, name: str) -> str:
    # Wide things scroll by themselves, by keyboard too, and not the whole page.
    return f"<div class='scroll' role='region' tabindex='0' aria-label='{escape(name, quote=True)}'>{content}</div>"
