"""What stands in docker/runtime.txt, and an interpreter that can import nothing else."""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = ROOT / "docker" / "runtime.txt"
MODULES = {"opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml"}  # where it is not the package's name
NAME = re.compile(r"[\w.-]+")


def packages() -> dict[str, str]:
    """Requirement of each package of the list, without its comment."""
    lines = (line.partition("#")[0].strip() for line in LIST.read_text(encoding="utf-8").splitlines())
    return {NAME.match(line)[0]: line for line in lines if line}


def modules() -> set[str]:
    """Names under which the packages of the list are imported."""
    return {MODULES.get(p, p) for p in packages()}


@cache
def importable(*more: str) -> list[str]:
    """Modules that are there where the list and more packages were installed, with what these need themselves."""
    asked, seen = [*packages(), *more], set()
    while asked:
        name = asked.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # the other wheel of OpenCV
            continue
        asked += [NAME.match(line)[0] for line in needs if "extra ==" not in line]
    of = metadata.packages_distributions()
    theirs = {module for module, owners in of.items() if seen.intersection(owners)}
    return sorted(theirs | modules() | {"rsdet"} | set(sys.stdlib_module_names))


def only(*more: str) -> str:
    """Code after which nothing else is there to import."""
    return f"""
import sys
from importlib.machinery import PathFinder
class Only:
    def find_spec(name, path=None, target=None):
        known = path is not None or name in {importable(*more)!r}
        return PathFinder.find_spec(name, path, target) if known else None
sys.meta_path[:] = [Only if finder is PathFinder else finder for finder in sys.meta_path]
"""
