"""The real pictures that the experiments on whole scenes are made of: vehicles from drones, one class."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

TEST = "DJI-00760"  # a sequence of aerial-cars; frames of one sequence look alike, so it is held back as a whole
VEHICLES = (1, 3)  # Car and OtherVehicle of HIT-UAV


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture with its truth.

    Attributes:
        file: Where it is.
        split: train or test.
        boxes: (N, 4) float64 xyxy of its vehicles, in pixels.
    """

    file: Path
    split: str
    boxes: np.ndarray

    def read(self) -> np.ndarray:
        """(H, W, 3) uint8, BGR."""
        return cv2.imread(str(self.file))


def pictures(data: Path) -> list[Picture]:
    """Pictures of ``aerial-cars`` and of ``hit-uav`` in a folder that holds both, in the order of their names."""
    return aerial_cars(data / "aerial-cars") + hit_uav(data / "hit-uav")


def aerial_cars(folder: Path) -> list[Picture]:
    """Three sequences of frames with YOLO labels beside them, of which one is for testing."""
    out = []
    for label in sorted(p for p in folder.glob("*.txt") if p.stem.startswith(("DJI", "MOS"))):
        file = next(p for s in (".jpg", ".png") if (p := label.with_suffix(s)).is_file())
        h, w = cv2.imread(str(file)).shape[:2]
        rows = np.array([[float(v) for v in line.split()[1:5]] for line in label.read_text().splitlines()])
        centre, half = rows[:, :2] * [w, h], rows[:, 2:] * [w, h] / 2
        boxes = np.clip(np.concatenate([centre - half, centre + half], 1), 0, [w, h, w, h])
        out.append(Picture(file, "test" if label.name.startswith(TEST) else "train", boxes))
    return out


def hit_uav(folder: Path) -> list[Picture]:
    """Thermal pictures of 640x512 with the split of the data set; those without vehicles too."""
    out = []
    for name, split in (("train", "train"), ("val", "test")):
        labels = json.loads((folder / "normal_json" / "annotations" / f"{name}.json").read_text())
        for image in labels["images"]:
            rows = [a["bbox"] for a in labels["annotation"]
                    if a["image_id"] == image["id"] and a["category_id"] in VEHICLES]  # fmt: skip
            xywh = np.array(rows, float).reshape(-1, 4)
            boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)
            out.append(Picture(folder / "images" / name / image["filename"], split, boxes))
    return sorted(out, key=lambda p: p.file.name)
