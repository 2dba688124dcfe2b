"""What the words of a command mean, and early answers to words that mean something else. Nothing heavy is imported."""

from __future__ import annotations

import ast
import contextlib
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rsdet import zoo
from rsdet.errors import ConfigError, nearest
from rsdet.modelyaml import YAML_SUFFIXES, find_model_yaml
from rsdet.paths import datasets_dir

_WORDS = {"true": True, "false": False, "none": None, "null": None}
# Never numbers or lists: name=007, name=2024_01, project=1e5, names=true,1.50, question="Are there ships, or boats?".
_TEXT = {
    "model", "data", "source", "project", "name", "names", "out", "a", "b", "by", "weights", "question", "questions",
}  # fmt: skip
_SHORT = {"m": "model", "d": "data", "s": "source", "e": "epochs", "b": "batch", "o": "out"}
_TASKS_ELSEWHERE = ("classify", "pose", "semantic", "depth")  # Ultralytics' tasks besides those of this package
_ELSEWHERE = {  # what other tools, and other parts of this one, call what is meant
    "test": "val", "validate": "val", "validation": "val", "eval": "val", "evaluate": "val", "fit": "train",
    "infer": "predict", "inference": "predict", "bench": "benchmark", "speed": "benchmark", "models": "list",
    "datasets": "list",
}  # fmt: skip
_IN_PYTHON = {"tune": "RSDet('best.pt').tune(data='demo')"}
_DEVICE = re.compile(r"cpu|mps|-1|none|(cuda:)?\d+|cuda|(npu|xpu)(:?\d+)?|(tpu|intel|vulkan).*", re.IGNORECASE)


def parse_value(text: str, key: str = "") -> Any:
    """Turn the right-hand side of ``key=value`` into a Python value.

    Numbers, ``true``, ``false``, ``none`` and Python literals are read as such, ``a,b`` and ``[a,b]`` become lists; all
    else is text, and so are paths and the values of the keys that name things.
    """
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if key in _TEXT and not text.startswith("["):
        return text
    if "_" not in text or text.startswith(("[", "(", "{", "'", '"')):  # Python reads 2024_01 as a number
        with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of things that only look like Python, such as 1if
            value = ast.literal_eval(text.strip())
            if isinstance(value, (bool, int, float, str, list, dict, tuple)):
                return list(value) if isinstance(value, tuple) else value
    if text.startswith("[") and text.endswith("]"):
        return [parse_value(t.strip()) for t in text[1:-1].split(",") if t.strip()]
    if "," in text and not text.startswith(("[", "(", "{")) and "/" not in text and "\\" not in text:
        return [parse_value(t) for t in text.split(",") if t]
    return text


def parse_words(words: Sequence[str]) -> dict[str, Any]:
    """Turn ``key=value`` words into a dictionary.

    Raises:
        ConfigError: A word without ``=``, an empty key or value, or a key given twice.
    """
    out: dict[str, Any] = {}
    for i, word in enumerate(words):
        key, eq, value = word.partition("=")
        key = key.lstrip("-")
        if not eq or not key.isidentifier() or (not value and words[i + 1 : i + 2] and "=" not in words[i + 1]):
            raise ConfigError(_unwritten(words, i))
        if any("\ud800" <= c <= "\udfff" for c in value):  # bytes that are no text; OpenCV crashes on them
            raise ConfigError(f"{key}= holds a name that is not UTF-8, {value!r}; rename the file or folder.")
        if not value.strip():
            raise ConfigError(f"{key}= has no value; write one after the sign (none for nothing), or leave {key}= out.")
        if key in out:
            raise ConfigError(f"{key}= is given twice; keep one of them.")
        out[key] = parse_value(value, key)
    return out


def _unwritten(words: Sequence[str], i: int) -> str:
    """What to write instead of a word that is no ``key=value``."""
    word, after = words[i], [*words[i + 1 : i + 3], "", ""]
    key = word.strip("-=")
    key = _SHORT.get(key, key) if word.startswith("-") else key
    value = after[1] if after[0] == "=" else after[0].removeprefix("=")
    if key.isidentifier() and value and (word.endswith("=") or after[0].startswith("=")):
        return f"arguments are written key=value without spaces; write {key}={value}."
    if key.isidentifier() and word.startswith("-"):
        value = after[0] if after[0] and "=" not in after[0] and not after[0].startswith("-") else "True"
        return f"arguments must be written key=value, without dashes, received {word!r}; write {key}={value}."
    if (kind := _kind_of_file(word)) is not None:
        return f"arguments must be written key=value, received {word!r}; write {kind}={word}."
    return f"arguments must be written key=value, received {word!r}; see `rsdet --help`."


def _kind_of_file(word: str) -> str | None:
    """The key that a file's name is meant for, where its name says it."""
    path = Path(word)
    if path.suffix in YAML_SUFFIXES:
        return "data" if (datasets_dir() / path.name).is_file() else "model" if find_model_yaml(word) else None
    if path.suffix in {".pt", ".safetensors", ".onnx", ".engine", ".torchscript"}:
        return "model"
    return "source" if len(word) > 1 and path.exists() else None


def understood(words: Sequence[str], modes: Iterable[str], tasks: Iterable[str]) -> tuple[str, list[str]]:
    """The mode that a command names first, and its other words.

    Args:
        words: The words of the command, at least one.
        modes: Modes there are.
        tasks: Tasks there are.

    Raises:
        ConfigError: The words mean something, and are written otherwise; or no mode has such a name.
    """
    first, rest = words[0], list(words[1:])
    modes, tasks = list(modes), [*tasks, *_TASKS_ELSEWHERE]
    if first in modes:
        return first, rest
    given = dict(w.lstrip("-").split("=", 1) for w in words if "=" in w)
    plain = [w for w in words if "=" not in w and w not in (*tasks, "yolo", "rsdet")]
    mode = next((m for m in [given.get("mode", ""), *plain] if m in modes), None)
    if mode and (first in {*tasks, "yolo", "rsdet"} or given.get("mode") == mode):
        used = {mode, *tasks, "yolo", "rsdet", f"mode={mode}", f"--mode={mode}", f"task={given.get('task')}"}
        better = " ".join(["rsdet", mode, *(w for w in words if w not in used)])
        raise ConfigError(f"the mode comes first, and the task is read from the model; write `{better}`.")
    if first in tasks and first not in _TASKS_ELSEWHERE:
        raise ConfigError(f"{first} is a task; write a mode first, as in `rsdet train`, or see `rsdet help {first}`.")
    if first in _IN_PYTHON:
        raise ConfigError(f"{first} is for Python: {_IN_PYTHON[first]}. Modes: {', '.join(modes)}.")
    if "=" in first:
        raise ConfigError(f"a command begins with its mode, received {first!r}; write `rsdet train {first} ...`.")
    hint = f" Did you mean {_ELSEWHERE[first]!r}?" if first in _ELSEWHERE else nearest(first, modes)
    raise ConfigError(f"unknown mode {first!r}.{hint} Modes: {', '.join(modes)}.")


def check_device(value: Any) -> None:
    """Refuse a device of no form that Ultralytics takes.

    Raises:
        ConfigError: It is none.
    """
    each = value if isinstance(value, list) else str(value).strip("()[]").split(",")
    if not all(_DEVICE.fullmatch(str(v).strip()) for v in each):
        raise ConfigError(f"device={value!r} is no device; use device=cpu, or device=0 for the first GPU.")


def check_model_name(name: Any) -> None:
    """Refuse a model without suffix that is one of Ultralytics': of those, weights and a new network have one name.

    Raises:
        ConfigError: It is.
    """
    if (
        re.fullmatch(r"(yolo|rtdetr)[\w-]*", str(name))
        and not Path(name).exists()
        and find_model_yaml(name) is None
        and zoo.find_card(name) is None
    ):
        raise ConfigError(
            f"model={name!r} has no suffix; write model={name}.pt for trained weights, or model={name}.yaml for a new "
            f"network.{nearest(name, zoo.list_weights())}"
        )


def check_needs(mode: str, needs: Mapping[str, str], args: Mapping[str, Any]) -> None:
    """Refuse a command that lacks something.

    Args:
        mode: The mode.
        needs: What it needs: alternatives with ``|`` between them, the first of which is asked for, and what to pass.
        args: Arguments of the user; a ``cfg`` among them may state anything but the model.

    Raises:
        ConfigError: Something is missing.
    """
    for keys, remedy in needs.items():
        key, *others = keys.split("|")
        given = {k for k, v in args.items() if isinstance(v, str) or (k != "model" and v is not None)}
        if not {key, *others, *(() if key == "model" else ("cfg",))} & given:
            if key == "model" and args.get("resume"):
                remedy = "to go on with a training, write resume=True model=runs/…/weights/last.pt"
            raise ConfigError(f"{mode} needs {key}=; {remedy}.")
