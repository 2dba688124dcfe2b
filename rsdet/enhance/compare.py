"""Did enhancing help? Accuracy without and with a chain, measured the same way, side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ultralytics.utils import LOGGER

from rsdet.enhance.chain import EnhanceChain
from rsdet.writing import write_text

FILE = "enhance.json"


def val_both(chain: EnhanceChain, measure: Callable[[EnhanceChain | None, Path | None], Any], protocol: str) -> Any:
    """Validate without the chain, then with it, print both and the difference, and store them.

    Args:
        chain: What enhances.
        measure: Validates with a chain or without, into a folder or one of its own choice; gives the metrics.
        protocol: Name of the protocol beside Ultralytics' own.

    Returns:
        Metrics with the chain; ``without`` of them are those without it, ``enhance_gain`` is number to difference.

    Raises:
        ConfigError: A part takes minutes per picture.
    """
    chain.check_fast("a whole dataset")
    LOGGER.info("1 of 2: without enhance=")
    without = measure(None, None)
    folder = Path(without.save_dir)
    LOGGER.info(f"2 of 2: with {chain.describe()}")
    chain.restart()
    enhanced = measure(chain, folder / "enhanced")
    a, b = numbers(without), numbers(enhanced)
    enhanced.without, enhanced.enhance_gain = without, {k: b[k] - a[k] for k in b if k in a}
    LOGGER.info(f"{table(chain, a, b)}\n{chain.time_line()}")
    record = {
        "chain": chain.describe(), "scale": chain.scale, "protocol": protocol, "ms_per_image": chain.mean_ms(),
        "rows": [{"number": k, "without": a[k], "with": b[k], "difference": b[k] - a[k]} for k in b if k in a],
    }  # fmt: skip
    LOGGER.info(f"Both saved to {write_text(folder / FILE, json.dumps(record, indent=1))}")
    enhanced.save_dir = folder
    return enhanced


def numbers(metrics: Any) -> dict[str, float]:
    """AP of a validation; the name of each number begins with its protocol."""
    found: dict[str, float] = {}
    ours = getattr(metrics, "protocol_metrics", None)
    if ours is not None:
        for key in ("ap", "ap50", "ap75"):
            if getattr(ours, key, None) is not None:
                found[f"{ours.protocol.name} {key.upper()}"] = float(getattr(ours, key))
        found |= {f"{ours.protocol.name} AP {g}": float(m.ap) for g, m in ours.groups.items() if m.ap is not None}
    wanted = {"metrics/mAP50-95(B)": "AP", "metrics/mAP50(B)": "AP50"}
    results = metrics.results_dict
    return found | {f"ultralytics {wanted[k]}": float(results[k]) for k in wanted if k in results}


def table(chain: EnhanceChain, without: dict[str, float], enhanced: dict[str, float]) -> str:
    """The lines that are printed: protocol and number, without, with, difference in points of 100."""
    lines = [f"enhance: {chain.describe()}", f"{'protocol, number':>24}{'without':>10}{'with':>10}{'points':>10}"]
    for key in enhanced:
        if key in without:
            a, b = without[key], enhanced[key]
            lines.append(f"{key:>24}{a:>10.4f}{b:>10.4f}{100 * (b - a):>+10.2f}")
    return "\n".join(lines)
