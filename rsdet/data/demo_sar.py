"""Writes the embedded data sets `data=demo-sar` and `demo-sar-obb` to disk: simulated 16-bit SAR scenes, once."""

from __future__ import annotations

from pathlib import Path

from rsdet.writing import write_picture

from .rendered import Rendered, check_counts, check_drawable, make_rendered, polygon_lines, write_data_yaml, yolo_lines
from .sar_scenes import NAMES, render_sar_scene
from .sar_scenes.scene import check_size

VERSION = 1  # raise when the simulator changes what it draws, so that folders made before are made anew
GROUPS = {"inshore": "inshore.txt", "offshore": "offshore.txt"}
# How digital numbers become 0 to 255; measured once on the training images, see the `sar:` key of data YAMLs.
SAR = {
    "quantity": "amplitude",
    "units": "linear",
    "stretch": {"domain": "db", "method": "percentile", "low": 1.0, "high": 99.5, "per_image": False},
}


def make_demo_sar(
    root: Path | str,
    n_train: int = 300,
    n_val: int = 80,
    size: int = 320,
    seed: int = 0,
    progress: bool = True,
    task: str = "detect",
) -> Path:
    """Render the SAR demonstration data set into a folder, or reuse what lies there when it is the same.

    Images are single-channel 16-bit PNG (amplitude, 1000 times the root of sigma nought), labels YOLO text files with
    one class, ship. `inshore.txt` and `offshore.txt` list the stems of the images with and without a coast.

    Args:
        root: Folder of the data set. It is created; one that holds something else is not touched.
        n_train: Training scenes, 1 to 500000.
        n_val: Validation scenes, 1 to 500000; their seeds are never those of training scenes.
        size: Side of the square images in pixels, 64 to 4096.
        seed: Number of the data set, 0 or more; different numbers share no scene.
        progress: Show a progress bar while rendering.
        task: What the labels are for: `detect`, or `obb` for rectangles along the ships.

    Returns:
        Path of the data YAML, to be given as `data=`.

    Raises:
        ConfigError: The size cannot be rendered, or no labels for this task.
        DataError: The folder holds other files, or a number is out of its range.
    """
    check_drawable("demo-sar", task, ("detect", "obb"))
    check_counts(n_train, n_val, seed)
    check_size(size)
    root = Path(root).expanduser().resolve()
    kind = "demo-sar" if task == "detect" else f"demo-sar-{task}"
    recipe = {
        "kind": kind, "version": VERSION, "n_train": n_train, "n_val": n_val, "size": size, "seed": seed,
    }  # fmt: skip
    stems: dict[str, list[str]] = {name: [] for name in GROUPS}

    def draw(scene_seed: int, image: Path) -> str:
        scene = render_sar_scene(scene_seed, size)
        write_picture(image, scene.amplitude)
        stems["inshore" if scene.inshore else "offshore"].append(image.stem)
        if task == "obb":
            return polygon_lines(scene.corners_xy, scene.classes, scene.amplitude.shape)
        return yolo_lines(scene.boxes_xyxy, scene.classes, scene.amplitude.shape)

    def finish(folder: Path) -> None:
        for name, file in GROUPS.items():
            (folder / file).write_text("".join(f"{s}\n" for s in stems[name]), encoding="utf-8")

    make_rendered(root, recipe, Rendered(kind, ".png", draw, tuple(GROUPS.values()), finish), progress)
    data = {
        "task": task, "path": str(root), "train": "images/train", "val": "images/val", "names": NAMES, "sar": SAR,
        "groups": GROUPS,
    }  # fmt: skip
    head = "# Made by rsdet: simulated SAR scenes for showing and testing. Nothing follows from them for real images.\n"
    return write_data_yaml(root / f"{kind}.yaml", data, head)
