"""How large a network may become that a file describes: told before its memory is touched, far above any in use."""

from __future__ import annotations

import ast
import contextlib
import math
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from rsdet.errors import ConfigError

NUMBER = 16_384  # channels, kernels, queries: any number in a row
CLASSES = 100_000
ROWS = 2_000
REPEATS = 10_000  # of all rows together
MULTIPLE = 100  # depth and width of a scale
PARAMETERS = 10**9
TENSORS = 100_000  # of parameters


def check_numbers(value: Any, where: str, most: int = NUMBER) -> None:
    """Refuse numbers, written out or as text that Ultralytics evaluates, that no layer can be built from.

    Args:
        value: What stands in the file: numbers, texts, lists and mappings of them.
        where: What to call it in a message.
        most: Largest absolute value.

    Raises:
        ConfigError: One is larger, or is none.
    """
    if isinstance(value, (list, tuple)):
        for v in value:
            check_numbers(v, where, most)
    elif isinstance(value, dict):
        for v in value.values():
            check_numbers(v, where, most)
    elif isinstance(value, str):
        if len(value) > 200:
            raise ConfigError(f"{where} holds a text of {len(value)} characters; mend it.")
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            if not isinstance(number := ast.literal_eval(value), str):
                check_numbers(number, where, most)
    elif isinstance(value, (int, float)) and not abs(value) <= most:
        raise ConfigError(f"{where} holds {str(value)[:20]}, expected numbers up to {most}; mend it.")


def check_size(d: dict[str, Any], where: str) -> None:
    """Refuse a model dictionary whose rows or scales would grow beyond what can be built.

    Args:
        d: Model dictionary with well-formed rows.
        where: Its name, for messages.

    Raises:
        ConfigError: A number in it is none, or too large.
    """
    rows = [*d.get("backbone", []), *d.get("head", [])]
    if len(rows) > ROWS:
        raise ConfigError(f"{where} has {len(rows)} rows, expected {ROWS} at most; mend the file.")
    check_numbers(d.get("nc"), f"{where}: nc:", CLASSES)
    check_numbers({k: d.get(k) for k in ("reg_max", "kpt_shape", "channels", "ch")}, where)
    scales = d.get("scales")
    every = list(scales.values()) if isinstance(scales, dict) else []
    every = [s for s in every if not isinstance(s, dict)] or [[d.get("depth_multiple", 1), d.get("width_multiple", 1)]]
    for scale in every:
        good = isinstance(scale, (list, tuple)) and len(scale) in (2, 3) and all(map(_is_positive, scale))
        if not good or max(scale[:2]) > MULTIPLE:
            raise ConfigError(
                f"{where}: a scale must be [depth, width, most channels] with multiples up to {MULTIPLE}, received "
                f"{str(scale)[:60]}; mend the file."
            )
    total = 0.0
    for i, (_, n, _, args) in enumerate(rows):
        if not isinstance(n, int) or isinstance(n, bool) or n < 0:
            raise ConfigError(f"{where}: row {i} is repeated {str(n)[:20]} times, expected a whole number; mend it.")
        total += n * max(1.0, *(s[0] for s in every))
        check_numbers(args, f"{where}: row {i}")
    if total > REPEATS:
        raise ConfigError(f"{where} repeats its rows {total:.0f} times, expected {REPEATS} at most; mend the file.")


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 and not math.isnan(value)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Stop a network that grows beyond the limits while it is built, before its weights are filled with numbers."""
    parameters = tensors = 0

    def count(module: nn.Module, name: str, parameter: Any) -> None:
        nonlocal parameters, tensors
        parameters, tensors = parameters + (0 if parameter is None else parameter.numel()), tensors + 1
        if parameters > PARAMETERS or tensors > TENSORS:
            raise ConfigError(
                f"the network would have more than {PARAMETERS:,} parameters or {TENSORS:,} tensors of them; lower its "
                "channels and repeats."
            )

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()
