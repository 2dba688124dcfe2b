"""From what the user writes after ``data=`` to a data YAML of pairs on disk."""

from __future__ import annotations

from pathlib import Path

from rsdet.data.resolve import home
from rsdet.errors import ConfigError

DEMO_NAMES = {"demo-haze", "demo-haze.yaml"}


def resolve_pair_data(data: str | Path) -> Path:
    """Path of a data YAML of pairs; the demo is rendered, the owner's files of a shipped set are looked up and listed.

    Args:
        data: ``demo-haze``, the name of a shipped set (``rice1``, ``haze1k``, or one level of it, ``haze1k-thin``), or
            the path of a data YAML.

    Raises:
        ConfigError: No such data set.
        DataError: The files of a shipped set are not there; the message says where to put them.
    """
    if str(data) in DEMO_NAMES:
        from rsdet.data.pairs.demo import make_demo_haze

        return make_demo_haze(home() / "demo-haze")
    from rsdet.data.download import find_yaml, load_yaml
    from rsdet.data.pairs.shipped import is_shipped, prepare

    name, part = _whole_and_part(str(data))
    path = find_yaml(name)
    if is_shipped(content := load_yaml(path)):
        return prepare(path, content, datasets_root(), part)
    if part:
        raise ConfigError(f"data={data}: {path.name} has no parts; give data={name}")
    return path


def _whole_and_part(data: str) -> tuple[str, str | None]:
    """``haze1k-thin`` is a part of the shipped ``haze1k``; names of shipped sets themselves are never cut."""
    from rsdet.data.download import list_datasets

    stem = data.removesuffix(".yaml")
    known = list_datasets()
    if stem in known or Path(data).exists() or "-" not in stem:
        return data, None
    whole, _, part = stem.rpartition("-")
    return (whole, part) if whole in known else (data, None)


def datasets_root() -> Path:
    """Folder of the data sets: that of Ultralytics' settings, unless it is the folder of YAMLs in a checkout."""
    from ultralytics.utils import DATASETS_DIR

    from rsdet.data.resolve import _datasets_root

    return _datasets_root() or Path(DATASETS_DIR)
