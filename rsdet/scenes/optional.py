"""Packages that scenes need and rsdet does not: imported when they are used, named with their extra where absent."""

from __future__ import annotations

import importlib
from typing import Any

from rsdet.errors import MissingDependencyError, install


def optional(package: str, extra: str = "geo", what: str = "whole scenes and layers of maps need") -> Any:
    """A package of an extra.

    Args:
        package: Name of the module, such as ``pyproj``.
        extra: The extra that brings it.
        what: What needs it, with the verb.

    Raises:
        MissingDependencyError: It is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(package)
    except ImportError as e:
        name = package.partition(".")[0]
        raise MissingDependencyError(f"{what} the package {name} ({e}); install it: {install(extra)}") from e
