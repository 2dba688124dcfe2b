"""From what the user writes after ``data=`` to a data YAML on disk."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rsdet.paths import datasets_dir

DEMO_NAMES = {"demo", "demo.yaml"}
DEMO_SAR_NAMES = {"demo-sar", "demo-sar.yaml"}


def home() -> Path:
    """Folder for what rsdet makes or fetches for the user: ``$RSDET_HOME``, else ``~/.cache/rsdet``."""
    return Path(os.environ.get("RSDET_HOME", Path.home() / ".cache" / "rsdet"))


def resolve_data(data: str | Path) -> Path:
    """Path of a data YAML that Ultralytics takes; the demos are rendered, a shipped dataset fetched if it can be.

    Args:
        data: ``"demo"``, ``"demo-sar"``, a shipped dataset name, or the path of a data YAML.
    """
    if str(data) in DEMO_NAMES:
        from rsdet.data.demo import make_demo

        return make_demo(home() / "demo", n_train=400, n_val=100)
    if str(data) in DEMO_SAR_NAMES:
        from rsdet.data.demo_sar import make_demo_sar

        return make_demo_sar(home() / "demo-sar")
    from rsdet.data.download import check_dataset

    return Path(check_dataset(data, root=_datasets_root())["yaml_file"])


def split_files(data: str | Path, split: str, most: int) -> tuple[list[Path], dict[str, Any]]:
    """Image files of a split of a data set for Ultralytics, spread over it, and what its data YAML says.

    Args:
        data: Data YAML or the name of a shipped dataset.
        split: ``train``, ``val`` or ``test``; without it, there are no files.
        most: No more files than these.
    """
    from ultralytics.data.base import BaseDataset
    from ultralytics.data.utils import check_det_dataset

    spec = check_det_dataset(str(resolve_data(data)))
    listing = SimpleNamespace(prefix="", fraction=1.0)
    files = BaseDataset.get_img_files(listing, spec[split]) if spec.get(split) else []
    return [Path(f) for f in files[:: -(-len(files) // most) or 1]], spec


def _datasets_root() -> Path | None:
    """Ultralytics' folder for datasets, unless that is the folder of YAMLs in a checkout of rsdet."""
    from ultralytics.utils import DATASETS_DIR

    return home() / "datasets" if Path(DATASETS_DIR).resolve() == datasets_dir().resolve() else None
