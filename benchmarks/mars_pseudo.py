"""How many pseudo-labels of ``mars_terrain.py`` count at the end of a training, and how many of these are right.

The masks of the pictures that were without labels in a run tell. Only the labelled pixels of AI4Mars can be judged.

    python benchmarks/mars_pseudo.py --work runs/mars-terrain
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import mars_terrain
import torch
from rows import rows_in


def judge(row: dict[str, Any], work: Path, threshold: float) -> dict[str, Any]:
    """Share of the unlabelled training pictures' pixels above a confidence, and the accuracy there and everywhere."""
    from rsdet import RSDet
    from rsdet.data.semi.labelled import divide

    data = work / f"data-{row['settings']['side']}"
    pictures = sorted((data / "images" / "train").iterdir())
    labelled = set(divide(pictures, row["labeled"], row["seed"]).labelled)
    network = RSDet(work / "runs" / row["run"] / "weights" / "last.pt").model.float().eval()
    confident, right = [], []
    for picture in (p for p in pictures if p not in labelled):
        image = torch.from_numpy(cv2.imread(str(picture))[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
        mask = cv2.imread(str(data / "masks" / "train" / f"{picture.stem}.png"), cv2.IMREAD_UNCHANGED)
        with torch.no_grad():
            confidence, classes = network(image).softmax(1)[0].max(0)
        known = torch.from_numpy(mask) != 255
        confident.append((confidence > threshold)[known])
        right.append((classes == torch.from_numpy(mask))[known])
    above, correct = torch.cat(confident), torch.cat(right).float()
    return {
        "method": row["method"], "seed": row["seed"], "threshold": threshold, "above": float(above.float().mean()),
        "right_above": float(correct[above].mean()), "right": float(correct.mean()),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/mars-terrain"))
    work = parser.parse_args().work.absolute()
    from rsdet.losses.semi_settings import METHODS

    mars_terrain.register(0.99)
    judged = [
        judge(row, work, METHODS[row["method"]].t_hard)
        for row in rows_in(work / "rows")
        if row["labeled"] < 1 and METHODS[row["method"]].t_hard
    ]
    (work / "pseudo.json").write_text(json.dumps(judged, indent=1))


if __name__ == "__main__":
    main()
