"""What a mode of :class:`rsdet.RSDet` is called with, checked and completed, whatever the task."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from inspect import GEN_SUSPENDED, getgeneratorstate
from pathlib import Path
from typing import Any

from rsdet.arguments import check_keys, with_cfg
from rsdet.errors import ConfigError
from rsdet.loading import check_network

_PARTS = {"train": "trainer", "tune": "tuner", "val": "validator", "predict": "predictor"}


def class_of(model: Any, mode: str, given: type | None = None) -> Any:
    """The class that runs a mode: the user's, else that of the task for the model's family.

    Raises:
        ConfigError: There is none.
    """
    if given is not None and not isinstance(given, type):
        raise ConfigError(f"{_PARTS[mode]}= takes a class, received {given!r:.80}; leave the () out.")
    cls = given or model.task_map[model.task].get(_PARTS[mode])
    if cls is None:
        raise ConfigError(
            f"{mode} is not offered for task={model.task} with {model.model_name}; see `rsdet list tasks`."
        )
    return cls


def checked(model: Any, mode: str, cls: Any, kwargs: Mapping[str, Any], **named: Any) -> dict[str, Any]:
    """All arguments of a mode, once they are known to be good.

    Args:
        model: The :class:`rsdet.RSDet`.
        mode: ``train``, ``val`` or ``predict``.
        cls: Class that runs it.
        kwargs: Arguments of the user; ``cfg`` names a file with more.
        **named: Those that the method names; None where they were not given.

    Raises:
        ConfigError: An unknown key, a value out of its range, or another task.
    """
    check_network(model.model, model.task, model.family, model.model_name)  # it may have been put there since
    given = {**with_cfg(kwargs), **{k: v for k, v in named.items() if v is not None}}
    given = model.definition.settings(mode, model, given)
    check_keys(given, mode, model.definition, cls)
    if given.get("task") not in (None, model.task):
        raise ConfigError(f"task={given['task']!r}, but this is a model for task={model.task!r}; leave task= out.")
    return given


def completed(model: Any, mode: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with what is usual where nothing is said; results go below the folder the command is run in.

    Raises:
        ConfigError: ``project`` is no path.
    """
    if not isinstance(given.get("project") or "", (str, Path)):
        raise ConfigError(f"project={given['project']!r} must be a folder; e.g. project='runs/mine'.")
    usual = model.definition.usual(mode, model, given)
    given = {**given, **{k: v for k, v in usual.items() if given.get(k) is None}}
    project = Path(given.get("project") or Path("runs") / model.task).expanduser()
    return {**given, "project": str(project.absolute())}


def data_yaml(model: Any, data: Any, mode: str) -> str:
    """Path of the data YAML that ``data=`` stands for.

    Raises:
        ConfigError: Nothing, or data for another task.
    """
    if data is None:
        raise ConfigError(f"{mode} needs data=; pass a data YAML or a shipped dataset such as data=demo.")
    return str(model.definition.resolve_data(data))


class Turn:
    """Whose turn it is to predict with a model: its predictor, the folder and what is written are one.

    Threads wait for one another. For a prediction with ``stream=True`` that is half read nobody waits: it may never go
    on. A copy of a model has a turn of its own.
    """

    _LOOK_S = 0.05  # how often those who wait look whether what they wait for has been left half read

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a generator may end in another thread than it began in
        self._thread: int | None = None
        self.stream: Generator[Any] | None = None  # the prediction that somebody reads, one result at a time

    def __reduce__(self) -> tuple[type[Turn], tuple[()]]:
        return Turn, ()

    @contextmanager
    def taken(self) -> Iterator[Turn]:
        """Wait for the turn, and hold it.

        Raises:
            ConfigError: An earlier prediction is half read, or what holds the turn is what asks for it.
        """
        own = threading.get_ident()
        while not self._lock.acquire(timeout=self._LOOK_S):
            if self.stream is not None and getgeneratorstate(self.stream) == GEN_SUSPENDED:
                raise ConfigError(
                    "the last prediction with stream=True is not read to its end, and has the predictor of this model; "
                    "read on, close() it, or load the model once more."
                )
            if self._thread == own:
                raise ConfigError("this model is predicting, and a callback of it asks for more; load it once more.")
        self._thread = own
        try:
            yield self
        finally:
            self._thread = self.stream = None
            self._lock.release()
