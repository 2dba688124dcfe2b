"""Datasets by name: what a dataset YAML says becomes files on disk, fetched, verified, unpacked and converted.

A dataset YAML holds facts (``name``, ``licence``, ``homepage``, ``citation``, ``protocol``, ``splits``, ``names``),
the format of the owner's files (``source_format``, ``sources``: split to file, ``options`` of the importer) and where
they come from: ``fetch``, a list of ``{url, unpack_to, bytes?, sha256?, only?, contents?}`` for archives (the last two
as in :func:`rsdet.data.archives.unpack`) and of ``{url, unpack_to, files}`` for single files below an address (path to
SHA-256), and ``instruction``, a sentence for the user where there is no address or it does not answer.
It never holds code, and none is run from it.
"""

from __future__ import annotations

import json
import logging
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from rsdet.data.archives import unpack
from rsdet.data.checked import NOT_RUN, is_package_yaml
from rsdet.data.convert import convert
from rsdet.data.fetch import fetch
from rsdet.data.images import SUFFIXES
from rsdet.data.merging import parts_of, read_merge
from rsdet.data.report import ConvertReport
from rsdet.errors import ConfigError, DataError, RSDetError, nearest
from rsdet.names import lies_below
from rsdet.paths import datasets_dir
from rsdet.textfiles import read_yaml as load_yaml
from rsdet.writing import disk_errors, write_text

__all__ = ["check_dataset", "fetch", "find_yaml", "list_datasets", "load_yaml"]

_OWN_KEYS = ("fetch", "instruction", "source_format", "render")  # one of these makes a YAML one of ours
_IMPORT_OPTIONS = {
    "task", "obb", "difficult", "others", "min_area_px", "angle_unit", "val_fraction", "split_seed", "val_prefixes",
    "merge",
}  # fmt: skip
_KEPT = ("protocol", "licence", "homepage", "sar")  # what the plain data YAML says too


def list_datasets() -> list[str]:
    """Names of the dataset YAMLs that rsdet ships."""
    return sorted(path.stem for path in datasets_dir().glob("*.yaml"))


def check_dataset(
    data: str | Path, root: str | Path | None = None, progress: bool = True, task: str | None = None
) -> dict:
    """Make a dataset ready for training and say where it is. Naming a dataset counts as asking for its download.

    Args:
        data: Name of a shipped YAML (``visdrone`` or ``visdrone.yaml``), of one that Ultralytics ships
            (``coco8.yaml``), or a path to a data YAML.
        root: Folder for datasets; None takes the ``datasets_dir`` of Ultralytics' settings. Converted sets lie in
            ``<root>/<name>``, the owner's files in ``<root>/<name>-original``.
        progress: Show progress bars.
        task: Make the labels for this task instead of the usual one; such a set lies in ``<root>/<name>-<task>``.

    Returns:
        The content of a plain data YAML for Ultralytics, with ``yaml_file`` (its path, to hand to Ultralytics) and
        ``path`` (the dataset's folder, absolute) added; from a dataset YAML of ours with ``protocol``, ``licence``,
        ``homepage``, ``citation``, ``sar`` as well, and with ``groups`` where the files say which images are measured
        apart.

    Raises:
        ConfigError: No such dataset, or a YAML that is none.
        DataError: The files are not there and cannot be fetched; the message says where to put them.
    """
    path = find_yaml(data)
    content = load_yaml(path)
    if not any(key in content for key in _OWN_KEYS):
        return _plain(path, content)
    name = set_name(path, content)
    home = Path(root).expanduser() if root is not None else _datasets_root()
    ready = home / (f"{name}-{task}" if task else name)
    report = ConvertReport.load(ready)
    wanted = set(content.get("sources") or ())  # each is converted by itself: a break between two leaves one missing
    done = report is not None and report.complete and wanted <= set(report.splits)
    if not done or not report.data_yaml or not report.data_yaml.is_file():
        original = home / f"{name}-original"
        _bring(content, path, original, progress)
        report = _convert_sources(content, path, original, ready, progress, task)
        _warn_of_gaps(content, report)
    facts = {k: content[k] for k in (*_KEPT, "citation") if k in content}
    return _plain(report.data_yaml, {**load_yaml(report.data_yaml), **facts})


def set_name(path: Path, content: dict) -> str:
    """Name of a data set, which its folder has too.

    Raises:
        ConfigError: It is none that a folder could have.
    """
    name = str(content.get("name") or path.stem)
    if Path(name).name != name or name.startswith("."):
        raise ConfigError(f"{path}: name must be a plain folder name, received {name!r}")
    return name


def find_yaml(data: str | Path) -> Path:
    """Path of a data YAML: a path, one of ours by name, one of Ultralytics' by file name.

    Raises:
        ConfigError: There is none; the message names the nearest.
    """
    path = Path(data).expanduser()
    own = datasets_dir() / (path.name if path.suffix in {".yaml", ".yml"} else f"{path.name}.yaml")
    shipped = path.name == str(data) and own.is_file()
    if path.is_file() and not (shipped and own.name != path.name):
        if path.suffix.lower() not in {".yaml", ".yml"}:
            raise ConfigError(f"data={data} is no data YAML; expected a file that ends in .yaml; {_convert(data)}")
        return path
    if path.is_dir():
        found = sorted(p for p in path.glob("[!.]*") if p.suffix.lower() in {".yaml", ".yml"})
        if len(found) == 1:
            return found[0]
        if not shipped:
            remedy = "name the file itself" if found else _convert(data)
            raise ConfigError(f"data={data} is a folder with {len(found)} YAML files, expected one; {remedy}")
    if shipped:
        return own
    if path.name == str(data):
        import ultralytics

        theirs = Path(ultralytics.__file__).parent / "cfg" / "datasets" / own.name
        if theirs.is_file() and theirs.name in {p.name for p in theirs.parent.iterdir()}:  # exact case on any system
            return theirs
    known = list_datasets()
    if path.name != str(data) or path.suffix in {".yaml", ".yml"}:  # a place; names do not help
        here = {p.stem: str(p) for p in path.parent.glob("*.y*ml")}
        hint = nearest(path.stem, [*known, *here], written=here)
        raise ConfigError(f"data={str(data)!r} does not exist; check the path, or see `rsdet list datasets`.{hint}")
    raise ConfigError(
        f"data={str(data)!r} is no file and no known dataset; expected a data YAML or one of {', '.join(known)}."
        f"{nearest(path.stem, known)}"
    )


def _convert(data: str | Path) -> str:
    return (
        f"`rsdet convert source={shlex.quote(str(data))} format=… out=…` makes one of labels (`rsdet help convert`)"
        "; of pairs, dates, cubes and questions it is a few lines by hand (docs/tasks)"
    )


def find_stored(data: Any) -> Path | None:
    """The data YAML that a checkpoint names, if it lies on this disk and nothing has to be fetched for it."""
    if not isinstance(data, (str, Path)) or Path(data).suffix.lower() not in {".yaml", ".yml"}:
        return None
    path = Path(data)
    try:
        usable = path.is_file() and not is_package_yaml(path) and not any(k in load_yaml(path) for k in _OWN_KEYS)
    except (RSDetError, OSError, ValueError):  # ValueError: a name that no file can have
        return None
    return path if usable else None


def _datasets_root() -> Path:
    from ultralytics.utils import DATASETS_DIR

    return Path(DATASETS_DIR)


def _plain(path: Path, content: dict) -> dict:
    """A data YAML that needs nothing done, with its place added."""
    path = path.resolve()
    base = Path(str(content.get("path") or path.parent)).expanduser()
    if not base.is_absolute():  # the same rule as Ultralytics
        base = base.resolve() if base.exists() else _datasets_root() / base
    if content.get(NOT_RUN) and not is_package_yaml(path):
        val = content.get("val", content.get("validation"))
        if not all((base / str(v)).exists() for v in (val if isinstance(val, list) else [val])):
            raise DataError(
                f"{path}: its images are not in {base}, and rsdet neither runs nor fetches what stands under download:;"
                " download the dataset by hand and mend path:"
            )
    return {**content, "path": str(base), "yaml_file": str(path)}


def _bring(content: dict, path: Path, original: Path, progress: bool) -> None:
    """See to it that the owner's files are in ``original``.

    Raises:
        DataError: They are not, and the YAML says no address.
    """
    items = content.get("fetch") or []
    if not isinstance(items, list) or not all(isinstance(i, dict) and isinstance(i.get("url"), str) for i in items):
        raise ConfigError(f"{path}: fetch must be a list of entries with url and unpack_to; mend the dataset YAML")
    for item in items:
        for key, kind in (("bytes", int), ("sha256", str)):
            if item.get(key) is not None and type(item[key]) is not kind:
                said = "a whole number" if kind is int else "text"
                raise ConfigError(
                    f"{path}: {key} of {item['url']} must be {said}, received {item[key]!r}; mend the YAML"
                )
    for item in [] if _by_hand(items, original) else items:
        try:
            _fetch_item(item, path, original, progress)
        except DataError as e:
            if not content.get("instruction"):
                raise
            raise DataError(f"{e}; or {_instruction(content).replace(' there', f' into {original}', 1)}") from e
    if not items and not (original.is_dir() and any(original.iterdir())):
        raise DataError(f"{content.get('name')}: no files in {original}; {_instruction(content)}")


def _by_hand(items: list[dict], original: Path) -> bool:
    """Whether the user has put the owner's files there: folders or pictures of which no fetching has begun or ended."""
    if any("files" in item for item in items):
        return False  # each is verified where it lies, so that what the user has put there is not fetched again
    shown = [p for p in original.iterdir() if not p.name.startswith(".")] if original.is_dir() else []
    if not any(p.suffix.lower() in SUFFIXES or p.is_dir() for p in shown):
        return False
    ours = {pattern.format(_file(item["url"])) for item in items for pattern in (".{}.done", "{}", "{}.part")}
    return not any((original / name).exists() for name in ours)


def _file(url: str) -> str:
    return unquote(Path(urlsplit(url).path).name)


def _instruction(content: dict) -> str:
    """What the user is asked to do, on one line."""
    return " ".join(str(content.get("instruction") or f"put the dataset there; see {content.get('homepage')}").split())


def _fetch_item(item: dict, path: Path, original: Path, progress: bool) -> None:
    """Fetch and unpack one archive, or fetch single files, unless it was done before."""
    if "files" in item:
        return _fetch_files(item, path, original, progress)
    url = item["url"]
    file = _file(url)
    into = Path(str(item.get("unpack_to") or "."))
    if not file or Path(file).name != file or into.is_absolute() or ".." in into.parts:
        raise ConfigError(f"{path}: fetch entry {url} must name a file and unpack below the dataset; mend the YAML")
    done = original / f".{file}.done"
    if done.exists():
        return
    archive = fetch(url, original / file, size=item.get("bytes"), sha256=item.get("sha256"), progress=progress)
    only = item.get("only") or []
    if not isinstance(only, list) or not all(isinstance(pattern, str) for pattern in only):
        raise ConfigError(f"{path}: only of {url} must be a list of patterns; mend the YAML")
    unpack(archive, original / into, only, item.get("contents"))
    write_text(done, json.dumps({"url": url, "bytes": archive.stat().st_size}) + "\n")
    with disk_errors(original):
        archive.unlink()  # its files are verified and in place; twice the space would be for nothing


def _fetch_files(item: dict, path: Path, original: Path, progress: bool) -> None:
    """Fetch single files below an address, each verified; those that are there already are left alone."""
    url, files, into = item["url"], item["files"], Path(str(item.get("unpack_to") or "."))
    inside = isinstance(files, dict) and all(
        isinstance(v, str) and isinstance(k, str) and lies_below(k) for k, v in files.items()
    )
    if not inside or not url.endswith("/") or into.is_absolute() or ".." in into.parts:
        raise ConfigError(
            f"{path}: fetch entry {url} must end in / and map paths below the dataset to their SHA-256; mend the YAML"
        )
    if progress:
        logging.getLogger("rsdet").info("%s: %d files from %s", path.stem, len(files), url)

    def one(place: str) -> None:
        fetch(url + quote(place), original / into / place, sha256=files[place], progress=False)

    with ThreadPoolExecutor(8) as pool:
        try:
            list(pool.map(one, files))
        finally:  # after one that failed the others are not tried; what has come is kept
            pool.shutdown(cancel_futures=True)


def _convert_sources(
    content: dict, path: Path, original: Path, ready: Path, progress: bool, task: str | None
) -> ConvertReport:
    """Convert the owner's files: the whole folder, or what ``sources`` names for each split.

    Raises:
        ConfigError: ``sources`` or ``options`` are not what they must be.
        DataError: A named file is missing.
    """
    sources = content.get("sources") or {None: "."}
    options = content.get("options") or {}
    if not isinstance(sources, dict) or not isinstance(options, dict) or not set(options) <= _IMPORT_OPTIONS:
        known = ", ".join(sorted(_IMPORT_OPTIONS))
        raise ConfigError(f"{content.get('name')}: sources must map splits to files, options may hold {known}")
    names = content.get("names")
    names = [names[key] for key in sorted(names)] if isinstance(names, dict) else names
    if names and "merge" in options:
        names = parts_of(names, read_merge(options["merge"]))
    if {"label_mapping", "palette"} & content.keys():
        names = str(path)  # which says what its masks hold
    extra = {key: content[key] for key in _KEPT if key in content}
    if task:
        options = {**options, "task": task}
    for place in sources.values():
        if not (original / str(place)).exists():
            raise DataError(f"{content.get('name')}: {original / str(place)} is missing; {_instruction(content)}")
    for split, place in sources.items():
        report = convert(
            original / str(place),
            str(content.get("source_format")),
            ready,
            split=split,
            names=names,
            progress=progress,
            extra=extra,
            **options,
        )
    return report


def _warn_of_gaps(content: dict, report: ConvertReport) -> None:
    """Say so when a split has other numbers of images than its owner states, or when no file says what is in a group.

    ``images`` of a split may be a list: one number for each release in ``releases`` (total of images to its name).
    """
    say, name, where = logging.getLogger("rsdet"), content.get("name"), report.out / "convert-report.json"
    total = sum(counts["images"] for counts in report.counts.values())
    if release := (content.get("releases") or {}).get(total):
        say.info("%s: %d images, which is %s", name, total, release)
    for split, facts in (content.get("splits") or {}).items():
        stated = facts.get("images") if isinstance(facts, dict) else None
        found = report.counts.get(split, {}).get("images", 0)
        if stated and found not in (stated if isinstance(stated, list) else [stated]):
            text = " or ".join(map(str, stated)) if isinstance(stated, list) else stated
            say.warning("%s: %s has %d images, its owner states %s; see %s", name, split, found, text, where)
    have = {group for part in report.splits.values() for group in part.groups}
    if missing := [group for group in content.get("groups") or {} if group not in have]:
        say.warning(
            "%s: the files do not say which images are %s, so val reports the whole only; %s",
            name, " or ".join(missing), _instruction(content),
        )  # fmt: skip
