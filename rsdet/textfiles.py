"""YAML, JSON and Python literals from outside, read within limits: plain values, or one line that says why not.

How long reading takes and how much it holds is decided by the size of a file, never by what stands in it: anchors that
multiply, deep nesting and numbers of thousands of digits are refused. Dates are text, and no tag makes an object. Names
of classes and groups are the words that stand there, also where YAML takes them for something else (no, 1.50, null).
"""

from __future__ import annotations

import ast
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from rsdet.errors import ConfigError, DataError, RSDetError

DEPTH = 60  # levels of lists and mappings in a YAML; ours have six
YAML_BYTES = 32 << 20  # a data YAML may list its images
_EXPANDED = 200_000  # characters that aliases may add to those of the file
_DIGITS = 300  # the largest double has 309
_NAMED = {  # keys of a YAML whose mappings hold names: as keys, as values
    "names": (False, True), "palette": (True, False), "groups": (True, False), "merge": (True, True),
}  # fmt: skip
_TEXT = "tag:yaml.org,2002:str"
_PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")
_told: set[tuple[str, str]] = set()
_BROKEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader for plain values, with the limits."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's own name)
        first: [r for r in resolvers if not r[0].endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012
        tag: make
        for tag, make in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in _PLAIN
    }

    def __init__(self, text: str):
        super().__init__(text)
        self._depth, self._most = 0, 2 * len(text) + _EXPANDED
        self.twice: list[str] = []  # keys that stand more than once in a mapping
        self._sizes: dict[int, int] = {}  # of each node, with its aliases written out

    def compose_node(self, parent: Any, index: Any) -> Any:
        alias = self.check_event(yaml.AliasEvent)
        self._depth += 1
        if self._depth > DEPTH:
            raise ValueError(f"nested more than {DEPTH} deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if alias:
            if id(node) not in self._sizes:
                raise ValueError("an anchor that holds itself")
            return node
        if isinstance(node, yaml.ScalarNode):
            size = 1 + len(node.value)
            if node.tag.endswith((":int", ":float")) and size > _DIGITS:
                raise ValueError(f"a number of more than {_DIGITS} digits")
        elif isinstance(node, yaml.MappingNode):
            _keep_names(node)
            stand = Counter((n.tag, n.value) for n, _ in node.value if isinstance(n, yaml.ScalarNode))
            self.twice += [value for (_, value), n in stand.items() if n > 1 and value != "<<"]
            size = 1 + sum(self._sizes[id(n)] for pair in node.value for n in pair)
        else:
            size = 1 + sum(self._sizes[id(n)] for n in node.value)
        if size > self._most:
            raise ValueError("anchors that multiply what the file says")
        self._sizes[id(node)] = size
        return node


def _keep_names(node: yaml.MappingNode) -> None:
    """Have names in a mapping, if it holds any, read as the words they are."""
    for key, value in node.value:
        keys, values = _NAMED.get(key.value, (False, False)) if isinstance(key, yaml.ScalarNode) else (False, False)
        pairs = value.value if isinstance(value, yaml.MappingNode) else []
        named = [k for k, _ in pairs if keys] + [v for _, v in pairs if values]
        named += value.value if values and isinstance(value, yaml.SequenceNode) else []
        for name in [n for part in named for n in (part.value if isinstance(part, yaml.SequenceNode) else [part])]:
            if isinstance(name, yaml.ScalarNode) and name.tag.rpartition(":")[2] in _PLAIN:
                name.tag = _TEXT


def parse_yaml(text: str, where: str | Path, error: type[RSDetError] = ConfigError) -> Any:
    """Plain values of a text in YAML.

    Args:
        text: The text.
        where: What to call it in a message.
        error: Family of the error.

    Raises:
        RSDetError: It is no YAML, or goes beyond the limits.
    """
    loader = None
    try:
        loader = _Loader(text)
        content = loader.get_single_data()
        _tell_twice(loader.twice, where)
        return content
    except (yaml.YAMLError, *_BROKEN) as e:
        mark = getattr(e, "problem_mark", None)
        at = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        why = getattr(e, "problem", None) or str(e) or type(e).__name__
        raise error(f"{where} is not valid YAML{at}: {_short(why)}; mend the file.") from e
    finally:
        if loader is not None:
            loader.dispose()


def _tell_twice(keys: list[str], where: str | Path) -> None:
    """Say that of a key that stands twice the last value counts, once for each file: a class may be lost by it."""
    if keys and (str(where), keys[0]) not in _told:
        _told.add((str(where), keys[0]))
        logging.getLogger("rsdet").warning(
            "%s: %s stands more than once, and the last one counts.", where, keys[0][:80]
        )


def read_yaml(path: str | Path, error: type[RSDetError] = ConfigError) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        RSDetError: The file cannot be read, is no YAML, is beyond the limits, or holds something else.
    """
    text = text_of(path, error, "a text file in YAML", YAML_BYTES)
    content = parse_yaml(text, path, error)
    if not isinstance(content, dict):
        raise error(f"{path} must hold a YAML mapping (key: value), received {type(content).__name__}; mend the file.")
    return content


def parse_json(text: str, where: str | Path, error: type[RSDetError] = DataError, wanted: str = "mend the file") -> Any:
    """Plain values of a text in JSON, of any size; numbers may be NaN or infinite.

    Args:
        text: The text.
        where: What to call it in a message.
        error: Family of the error.
        wanted: End of the message.

    Raises:
        RSDetError: It is no JSON.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as e:
        why = f"line {e.lineno} column {e.colno}: {e.msg}"
    except RecursionError:
        why = "nested too deeply"
    except ValueError:  # a whole number of thousands of digits
        why = "a number is too long"
    raise error(f"{where} is not JSON ({why}); {wanted}.")


def read_json(path: str | Path, error: type[RSDetError] = DataError, wanted: str = "mend the file") -> Any:
    """Plain values of a JSON file; see :func:`parse_json`."""
    return parse_json(text_of(path, error, "a text file in JSON"), path, error, wanted)


def parse_literal(text: str, where: str | Path, error: type[RSDetError] = DataError) -> Any:
    """The value of a Python literal, as Ultralytics writes them into exported files.

    Raises:
        RSDetError: It is none.
    """
    try:
        return ast.literal_eval(text)
    except (MemoryError, SyntaxError, *_BROKEN) as e:
        raise error(f"{where} holds no plain value ({_short(e)}); copy or export it again.") from e


def text_of(
    path: str | Path, error: type[RSDetError], wanted: str, most: int | None = None, else_as: str | None = None
) -> str:
    """Text of a file in UTF-8, with or without a byte-order mark.

    Args:
        path: The file.
        error: Family of the error.
        wanted: What was expected, for the message.
        most: Bytes that it may have.
        else_as: Encoding of those that are no UTF-8, as ``latin-1`` where programs write letters of their machine.

    Raises:
        RSDetError: It cannot be read, is larger, or is no UTF-8.
    """
    try:
        with open(path, "rb") as f:
            data = f.read() if most is None else f.read(most + 1)
        if most is not None and len(data) > most:
            raise error(f"{path} has more than {most >> 20} MB; pass {wanted}.")
        return data.decode("utf-8-sig")
    except OSError as e:
        raise error(f"{path} cannot be read ({e.strerror or e}); pass {wanted}.") from e
    except UnicodeDecodeError as e:
        if else_as is not None:
            return data.decode(else_as)
        raise error(f"{path} cannot be read (byte {e.start} is not UTF-8); pass {wanted}.") from e


def _short(why: Any) -> str:
    return " ".join(str(why).split())[:160] or type(why).__name__
