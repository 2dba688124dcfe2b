"""``rsdet MODE key=value …``: turns words into one call of a mode. No work of its own.

Help and errors about the words themselves need no torch: heavy modules are imported only once a mode runs.
"""

from __future__ import annotations

import os
import sys

from rsdet import modes, tasks
from rsdet._version import __version__
from rsdet.errors import ConfigError, RSDetError
from rsdet.modes.mode import said_once
from rsdet.usererrors import user_errors
from rsdet.words import check_device, check_model_name, check_needs, parse_words, understood


def _run(argv: list[str]) -> None:
    if not argv or argv[0] in {"-h", "--help"} or any(w in {"-h", "--help"} for w in argv[1:]):
        argv = ["help", *(w for w in argv if w in (*modes.names(), *tasks.names()))]
    name, rest = understood(argv, modes.names(), tasks.names())
    mode = modes.get(name)
    plain = [w for w in rest if "=" not in w] if mode.positional else []
    if len(plain) > len(mode.positional):
        raise ConfigError(
            f"{name} takes {' and '.join(mode.positional)} and key=value, received {plain[len(mode.positional)]!r}; "
            f"write `rsdet {(*mode.examples, f'help {name}')[0]}`."
        )
    args = parse_words(
        [*(f"{k}={w}" for k, w in zip(mode.positional, plain, strict=False)), *(w for w in rest if w not in plain)]
    )
    check_model_name(args.get("model"))
    check_device(args.get("device"))
    if isinstance(task := args.get("task"), str) and task not in tasks.names():
        tasks.get(task)  # says which there are
    if mode.check is not None:
        mode.check(args)
    check_needs(name, mode.needs, args)  # what is given and wrong is told first
    with said_once():
        mode.run(args)


def run(argv: list[str]) -> int:
    """Run one command; returns the exit status (0 done, 2 the input must be mended)."""
    words = [w for w in argv if w != "--debug"]
    if words and words[0] in {"-V", "--version", "version"}:
        print(__version__)
        return 0
    try:
        with user_errors():
            _run(words)
    except RSDetError as e:
        if "--debug" in argv:
            raise
        print(f"rsdet: error: {' '.join(str(e).split())}", file=sys.stderr)
        return e.exit_code
    except KeyboardInterrupt as e:
        print(f"rsdet: interrupted{f': {e}' if str(e) else '.'}", file=sys.stderr)
        return 130  # what a shell expects after Ctrl-C
    return 0


def main() -> None:
    """Entry point of the command ``rsdet``."""
    try:
        status = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough: rsdet list | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at exit
        status = 141  # as any program that SIGPIPE ends
    sys.exit(status)
