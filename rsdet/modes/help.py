"""``rsdet help [MODE | TASK [MODE]]``: made of signatures and docstrings, so that no key is listed by hand."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rsdet import modes, tasks
from rsdet._version import __version__
from rsdet.errors import ConfigError, nearest
from rsdet.modes.mode import Mode
from rsdet.tasks.task import Task

_WIDTH = 112
_FRONT = 2  # examples of a mode of the work on a model on the page of all modes, one screen; of others one
# Parameters that a word of a command cannot be, or that the command line sets itself.
_PYTHON_ONLY = {
    "self", "verbose", "trainer", "validator", "predictor", "stream", "persist", "accuracy_fn", "chain", "extra",
    "options", "more", "kwargs",
}  # fmt: skip
_TEXT = {
    "bool": "True or False",
    "int": "whole number",
    "float": "number",
    "str": "text",
    "Path": "path",
    "None": "none",
}


class Key(NamedTuple):
    """A key of a mode.

    Attributes:
        name: The key.
        default: Its default, as it is written on the command line; empty where it must be given.
        kind: What its value may be.
        text: What it is, from the docstring.
    """

    name: str
    default: str
    kind: str
    text: str

    def __str__(self) -> str:
        head = f"  {self.name}={self.default}"
        body = f"{self.text.rstrip('.')}{f' ({self.kind})' if self.kind else ''}."
        return textwrap.fill(body, initial_indent=f"{head:<22} ", subsequent_indent=" " * 23, width=_WIDTH)


def keys_of(function: Callable[..., Any]) -> list[Key]:
    """Keys of a function, or of a class by its ``__init__``, with what its docstring says of them."""
    texts = _args(inspect.getdoc(function) or "")
    hidden = _PYTHON_ONLY | ({"task"} if inspect.isclass(function) else set())  # the task of a model is in its file
    taken = {k: p for k, p in inspect.signature(function).parameters.items() if k not in hidden}
    keys = [
        Key(k, _written(p.default), _kind(str(p.annotation)), texts.get(k, ""))
        for k, p in taken.items()
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    return [*keys, *(Key("...", "", "", texts[k]) for k, p in taken.items() if p.kind is p.VAR_KEYWORD and k in texts)]


def own_keys_of(part: type) -> list[Key]:
    """Keys of a class of a task beyond those of Ultralytics."""
    from rsdet.arguments import own_keys

    texts: dict[str, str] = {}
    for base in reversed(part.__mro__):
        for place in (base, vars(base).get("configure")):
            texts |= _args(inspect.cleandoc(place.__doc__ or "")) if place is not None else {}
    return [
        Key(k, _written(p.default), _kind(inspect.formatannotation(p.annotation)), texts.get(k, ""))
        for k, p in own_keys(part).items()
    ]


def keys_in(name: str) -> list[str]:
    """Names of all keys of a mode, of whatever task, Ultralytics' among them where it takes those; sorted."""
    mode = modes.get(name)
    found = {key.name for function in mode.functions() for key in keys_of(function)}
    for task in map(tasks.get, tasks.names()):
        found |= {key.name for part in (mode.own(task) if mode.own else ()) for key in own_keys_of(part)}
        if mode.stock:
            from rsdet.arguments import stock_keys  # torch: Ultralytics says what there is

            found |= stock_keys(name, task).keys()
    return sorted(found - {"...", "mode"})


def _args(doc: str) -> dict[str, str]:
    """What the section ``Args:`` of a Google docstring says of each parameter, in plain text."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)*)", doc, re.MULTILINE)
    out: dict[str, str] = {}
    for block in re.split(r"\n(?=    \S)", (section[1] if section else "").rstrip()):
        name, _, text = block.strip().partition(":")
        out[name.strip("*")] = " ".join(_plain(text).split())
    return out


def _plain(text: str) -> str:
    """Text without marks for a documentation."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"\1", text)
    return text.replace("``", "").replace('"', "")


def _written(default: Any) -> str:
    """A default as it is written on the command line."""
    if default is inspect.Parameter.empty:
        return ""
    return ",".join(map(str, default)) if isinstance(default, (tuple, list)) else str(default)


def _kind(annotation: str) -> str:
    """What a value may be, in plain words."""
    annotation = annotation.replace("str | Path", "Path")
    words = [_TEXT[w] for w in re.findall(r"\w+", annotation) if w in _TEXT]
    several = "Sequence" in annotation or "list[" in annotation or "tuple[" in annotation
    return ", ".join(dict.fromkeys([*words, *(["or several with commas between"] if several else [])]))


# -- pages --------------------------------------------------------------------------------------------------------


def _tasks_with(mode: str) -> str:
    """The tasks that bring a mode."""
    return ", ".join(name for name in tasks.names() if mode in tasks.get(name).modes)


def _front() -> Iterator[str]:
    yield f"rsdet {__version__}: remote sensing on top of Ultralytics\n"
    yield "usage: rsdet MODE key=value ... [--debug]\n"
    width = max(map(len, modes.names()))
    for name in modes.names():
        mode = modes.get(name)
        yield f"  {name:<{width}} {mode.about or f'of {_tasks_with(name)}; `rsdet help {name}`'}"
        shown = _FRONT if name in modes.FIRST else 1
        yield from (f"  {'':<{width}} rsdet {e}" for e in mode.examples[:shown] if e != name)
    yield f"\ntasks: {', '.join(tasks.names())}; the model says which one it is for"
    yield "\nrsdet help MODE, rsdet help TASK and rsdet help TASK MODE name the keys; rsdet list, what ships."
    yield "--debug shows the traceback of an error; --version, --help."


def _heading(name: str, mode: Mode) -> Iterator[str]:
    first, *more = [mode.about] if mode.about else _paragraphs(mode.functions()[0])
    yield textwrap.fill(f"rsdet {name}: {first}", _WIDTH) + "\n"
    yield from (textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="  ") for text in more)
    yield from (f"  rsdet {e}" for e in mode.examples)


def _paragraphs(function: Callable[..., Any]) -> list[str]:
    """What a docstring says before its sections, the first sentence as it stands behind a name."""
    text = _plain(re.split(r"\n\n(?=\w+:\n)", inspect.getdoc(function) or "")[0])
    first, *more = (" ".join(part.split()) for part in text.split("\n\n"))
    return [f"{first[:1].lower()}{first[1:].rstrip('.')}", *more]


def _of_mode(name: str) -> Iterator[str]:
    mode = modes.get(name)
    yield from _heading(name, mode)
    yield from _shared(mode)
    for task in tasks.names():
        yield from _own(tasks.get(task), mode, f"keys of {task}")
    if mode.stock:
        yield f"\nrsdet help TASK {name} also names the keys of Ultralytics of which something comes."


def _of_task(name: str) -> Iterator[str]:
    task = tasks.get(name)
    yield f"{name}: {task.about}\n"
    yield f"  families of models: {', '.join(task.families)}"
    for mode in modes.names():
        yield from _own(task, modes.get(mode), f"rsdet {mode}, keys of {name}")
    yield from (f"\nrsdet help {mode}: a mode that only {name} has" for mode in task.modes)
    yield f"\nrsdet help {name} MODE names all keys of a mode."


def _of_both(task: str, name: str) -> Iterator[str]:
    mode = modes.get(name)
    yield from _heading(name, mode)
    yield from _shared(mode)
    yield from _own(tasks.get(task), mode, f"keys of {task}")
    if mode.stock:
        from rsdet.arguments import stock_keys  # torch: Ultralytics says what there is

        yield "\nkeys of Ultralytics:"
        above = {"task", "mode", *(key.name for function in mode.functions() for key in keys_of(function))}
        said = ", ".join(f"{k}={v}" for k, v in stock_keys(name, tasks.get(task)).items() if k not in above)
        yield textwrap.fill(said or "none", _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def _shared(mode: Mode) -> Iterator[str]:
    yield "\nkeys:"
    seen: set[str] = set()
    for key in (key for function in mode.functions() for key in keys_of(function)):
        if key.name not in seen:
            needed = any(key.name in need.split("|") for need in mode.needs)
            yield str(key._replace(default="") if needed else key)
        seen |= {key.name} - {"..."}


def _own(task: Task, mode: Mode, title: str) -> Iterator[str]:
    classes = mode.own(task) if mode.own is not None else ()
    if found := {key.name: key for part in classes for key in own_keys_of(part)}:
        yield f"\n{title}:"
        yield from map(str, found.values())


def print_help(topic: str | None = None, mode: str | None = None) -> None:
    """Print what there is to say about a mode, a task, or a mode of a task.

    Args:
        topic: A mode or a task; everything in short where it is left out.
        mode: A mode of the task.
    """
    if mode in tasks.names() and topic not in tasks.names():
        topic, mode = mode, topic
    known = (*modes.names(), *tasks.names())
    for word, choices in ((topic, known), (mode, tasks.names() if topic in modes.names() else modes.names())):
        if word is not None and word not in choices:
            raise ConfigError(f"there is no help on {word!r}.{nearest(word, known)} Topics: {', '.join(choices)}.")
    if topic is not None and mode is not None and not modes.get(mode).suits(tasks.get(topic)):
        those = [name for name in tasks.names() if modes.get(mode).suits(tasks.get(name))]
        raise ConfigError(f"{topic} has no {mode}, which is for {', '.join(those)}; see `rsdet help {mode}`.")
    if topic is None:
        lines = _front()
    elif mode is not None:
        lines = _of_both(topic, mode)
    else:
        lines = _of_task(topic) if topic in tasks.names() else _of_mode(topic)
    print("\n".join(lines))


def _run(args: dict[str, Any]) -> None:
    from rsdet.arguments import fit

    print_help(**fit(print_help, args, "help"))


MODE = Mode(
    "say which modes, tasks and keys there are",
    _run,
    examples=("help [MODE | TASK [MODE]]",),
    positional=("topic", "mode"),
    functions=lambda: (print_help,),
)
