"""Packages that scenes need and rsdet does not: imported when they are used, named with their extra where absent."""

from __future__ import annotations

import importlib
from typing import Any

from rsdet.errors import MissingDependencyError, install


def optional(package: str, extra: str = "geo") -> Any:
    """A package of an extra.

    Args:
        package: Name of the module, such as ``pyproj``.
        extra: The extra that brings it.

    Raises:
        MissingDependencyError: It is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(package)
    except ImportError as e:
        name = package.partition(".")[0]
        raise MissingDependencyError(
            f"whole scenes and layers of maps need the package {name} ({e}); install it: {install(extra)}"
        ) from e
