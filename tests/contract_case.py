"""What `tests/tasks/test_contract.py` needs to know of a task in order to try it: something small of each kind.

A task says so in ``tests/tasks/<name>/contract.py``, which holds ``CASE``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """Small things of a task.

    Attributes:
        model_yaml: Writes the YAML of a small model into a folder.
        data_yaml: Renders a handful of samples into a folder; returns the data YAML.
        source: What ``predict`` takes, from the data YAML.
        lively: Gives a network from that YAML weights whose outputs differ from sample to sample, as trained ones do.
        size: Side of the input in pixels.
        train: Settings of a training of one epoch.
        own_key: A key of the trainer's own, which a user may misspell.
        predict: What ``predict`` needs beside its source.
    """

    model_yaml: Callable[[Path], Path]
    data_yaml: Callable[[Path], Path]
    source: Callable[[Path], Any]
    lively: Callable[[Any], Any]
    size: int
    own_key: str
    train: Mapping[str, Any] = field(default_factory=dict)
    predict: Mapping[str, Any] = field(default_factory=dict)
