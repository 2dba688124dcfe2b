"""``rsdet completion``: a script for a shell, made of the modes, tasks and keys that help is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rsdet import modes, tasks, zoo
from rsdet.errors import ConfigError, nearest
from rsdet.modes.help import keys_in, keys_of
from rsdet.modes.mode import function_mode
from rsdet.paths import datasets_dir


def _models() -> list[str]:
    from rsdet.modelyaml import list_models

    return [*zoo.list_weights(), *list_models()]


def _sets() -> list[str]:
    return sorted(p.stem for p in datasets_dir().glob("*.yaml"))


def _kinds() -> list[str]:
    from rsdet.modes.list import KINDS

    return list(KINDS)


# What a key may be, beyond a file: by key in every mode, and by mode and the first word that needs no key.
_VALUES: dict[str, Callable[[], Iterable[str]]] = {"model": _models, "data": _sets, "task": tasks.names}
_FIRST: dict[str, Callable[[], Iterable[str]]] = {
    "completion": lambda: SHELLS,
    "get": lambda: [*zoo.list_weights(), *_sets()],
    "help": lambda: [*modes.names(), *tasks.names()],
    "list": _kinds,
}


def _words() -> dict[str, tuple[list[str], list[str]]]:
    """For each mode its keys and the words that stand without one."""
    return {name: (keys_in(name), list(_FIRST.get(name, tuple)())) for name in modes.names()}


def _values() -> dict[str, list[str]]:
    """Values by key; those of a key that is True or False among them."""
    flags = {
        key.name
        for name in modes.names()
        for function in modes.get(name).functions()
        for key in keys_of(function)
        if key.kind == "True or False"
    }
    return {**{key: ["True", "False"] for key in sorted(flags)}, **{k: list(f()) for k, f in _VALUES.items()}}


def _bash() -> str:
    rows = [
        f'        {name}) keys="{" ".join(f"{k}=" for k in keys)}"; plain="{" ".join(plain)}" ;;'
        for name, (keys, plain) in _words().items()
    ]
    values = [f'            {key}) values="{" ".join(found)}" ;;' for key, found in _values().items()]
    return "\n".join([
        "# rsdet completion bash >> ~/.bash_completion",
        "_rsdet() {",
        '    local keys="" plain="" values="" key="" cur="${COMP_WORDS[COMP_CWORD]}" before="" at=$COMP_CWORD found',
        "    (( at > 0 )) && before=\"${COMP_WORDS[at-1]}\"",
        '    if [[ "$cur" == *=* && "$cur" != "=" ]]; then key="${cur%%=*}"',
        '    elif [[ "$cur" == "=" ]]; then key="$before"; cur=""',
        '    elif [[ "$before" == "=" ]]; then key="${COMP_WORDS[at-2]}"',
        "    fi",
        "    COMPREPLY=()",
        '    if (( at <= 1 )); then',
        f'        COMPREPLY=($(compgen -W "{" ".join(modes.names())}" -- "$cur"))',
        "        return",
        "    fi",
        '    case "${COMP_WORDS[1]}" in',
        *rows,
        "    esac",
        '    if [[ -n "$key" ]]; then',
        '        case "$key" in',
        *values,
        "        esac",
        '        local start="" value="$cur"',
        '        [[ "$cur" == "$key="* ]] && start="$key=" value="${cur#*=}"',
        "        while IFS= read -r found; do COMPREPLY+=(\"$found\"); done < <(",
        '            compgen -P "$start" -W "$values" -- "$value"; compgen -P "$start" -f -- "$value"',
        "        )",
        "        compopt -o filenames 2> /dev/null  # their spaces are quoted, folders end in a stroke",
        "    else",
        '        COMPREPLY=($(compgen -W "$plain" -- "$cur") $(compgen -W "$keys" -- "$cur"))',
        '        [[ "${COMPREPLY[*]}" == *= ]] && compopt -o nospace 2> /dev/null',
        "    fi",
        "}",
        "complete -F _rsdet rsdet",
    ])  # fmt: skip


def _zsh() -> str:
    rows = [
        f"        {name}) compadd -S '=' -- {' '.join(keys)}; compadd -- {' '.join(plain)} ;;"
        for name, (keys, plain) in _words().items()
    ]
    values = [f"            {key}) compadd -- {' '.join(found)} ;;" for key, found in _values().items()]
    return "\n".join([
        "#compdef rsdet",
        "# rsdet completion zsh > _rsdet, in a folder of $fpath",
        "_rsdet() {",
        "    local cur=${words[CURRENT]}",
        "    if (( CURRENT == 2 )); then",
        f"        compadd -- {' '.join(modes.names())}",
        "    elif [[ $cur == *=* ]]; then",
        "        local key=${cur%%=*}",
        "        compset -P '*='",
        "        case $key in",
        *values,
        "        esac",
        "        _files",
        "    else",
        "        case ${words[2]} in",
        *rows,
        "        esac",
        "    fi",
        "}",
        'if [[ "${funcstack[1]}" == _rsdet ]]; then _rsdet "$@"; else compdef _rsdet rsdet; fi',  # the first time, too
    ])  # fmt: skip


def _fish() -> str:
    lines = [
        "# rsdet completion fish > ~/.config/fish/completions/rsdet.fish",
        "function __rsdet_mode",  # the first word alone: a later one may have the name of a mode, too
        "    set -l typed (commandline -opc)",
        '    test "$typed[2]" = "$argv[1]"',
        "end",
        f"complete -c rsdet -f -n '__fish_is_first_arg' -a '{' '.join(modes.names())}'",
    ]
    values = _values()
    for name, (keys, plain) in _words().items():
        words = [*plain, *(f"{k}=" for k in keys), *(f"{k}={v}" for k in keys for v in values.get(k, ()))]
        lines.append(f"complete -c rsdet -n '__rsdet_mode {name}' -a '{' '.join(words)}'")
    return "\n".join(lines)


SHELLS: dict[str, Callable[[], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}


def print_completion(shell: str) -> None:
    """Print the script that completes modes, keys and names of models and data sets.

    Args:
        shell: bash, zsh or fish; the first line of the script says where it goes.
    """
    if shell not in SHELLS:
        raise ConfigError(f"shell must be one of {list(SHELLS)}, received {shell!r}.{nearest(shell, SHELLS)}")
    print(SHELLS[shell]())


MODE = function_mode(
    "completion",
    f"{__name__}:print_completion",
    "print the script by which a shell completes commands",
    needs={"shell": f"pass one of {', '.join(SHELLS)}"},
    positional=("shell",),
)
