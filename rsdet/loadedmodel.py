"""Ultralytics' class with our loading: what a model is, before anything is done with it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ultralytics.cfg import TASK2DATA
from ultralytics.engine.model import Model
from ultralytics.utils import LOGGER

from rsdet import checkpoint, hub, tasks, zoo
from rsdet.arguments import fit
from rsdet.data.gsd import gsd_of
from rsdet.deploy.complexity import complexity
from rsdet.errors import ConfigError
from rsdet.loading import Loaded, check_network, load_model
from rsdet.recipes import usual_imgsz
from rsdet.tasks.task import Task
from rsdet.usererrors import user_errors

if TYPE_CHECKING:
    from typing_extensions import Self


class LoadedModel(Model):
    """A model of any task; :class:`rsdet.RSDet` adds the modes.

    Attributes:
        loaded: What was loaded.
        family: Family of the model, one of its task's.
    """

    loaded: Loaded
    family: str
    predictor: Any
    _settings: dict[str, Any]

    @staticmethod
    def is_triton_model(model: str) -> bool:
        """Never one: Ultralytics would take any address for a server's model, and ask it by a package that it gets."""
        return False

    def _new(self, cfg: str, task: str | None = None, verbose: bool = False) -> None:
        self._adopt(load_model(cfg, task, verbose=verbose, **self._settings))

    def _load(self, weights: str, task: str | None = None) -> None:
        self._adopt(load_model(weights, task, **self._settings))

    def _adopt(self, loaded: Loaded) -> None:
        self.loaded = loaded
        TASK2DATA.setdefault(loaded.task, None)  # Ultralytics looks up a default set; data= is always given
        for key in ("model", "task", "family", "model_name", "cfg", "ckpt", "ckpt_path", "overrides"):
            setattr(self, key, getattr(loaded, key))

    @property
    def definition(self) -> Task:
        """What its task brings."""
        return tasks.get(self.task)

    @property
    def task_map(self) -> dict[str, dict[str, Any]]:
        """Classes of its task for its family, in Ultralytics' form."""
        return {self.task: self.definition.classes(self.family)}

    @property
    def yaml(self) -> dict[str, Any]:
        """The resolved model YAML of a network or a method, what an exported file says of itself."""
        return self.loaded.meta if isinstance(self.model, (str, Path)) else self.model.yaml

    @property
    def sar(self) -> dict[str, Any] | None:
        """How SAR files become pictures, as measured in training (``sar:`` of a data YAML); ``None`` without it."""
        return self.yaml.get("sar")

    @property
    def bands(self) -> list[int] | None:
        """Bands of the files, counted from 1, that it was trained with (``bands:`` of a data YAML); else ``None``."""
        return self.yaml.get("bands")

    @property
    def gsd(self) -> float | None:
        """Metres a pixel of the pictures that it was trained with (``gsd:`` of a data YAML); ``None`` where unknown."""
        return gsd_of(self.yaml, f" in {self.model_name}")

    @property
    def channels(self) -> int | None:
        """Channels of the pictures that it takes; ``None`` for an exported file that does not say it."""
        return self.yaml.get("channels", None if isinstance(self.model, (str, Path)) else 3)

    @property
    def untrained(self) -> bool:
        """Whether it is a network from a YAML whose random weights nobody has changed: loaded, trained or filled."""
        return self.loaded.model is self.model and self.loaded.untrained

    @property
    def skipped(self) -> list[str]:
        """One line for each file that the last prediction left out."""
        return list(getattr(self.predictor, "skipped", ()))  # a predictor of the user's may know of none

    def check_trained(self, mode: str) -> None:
        """Refuse to show what random weights find.

        Raises:
            ConfigError: There are no others.
        """
        if self.untrained:
            raise ConfigError(
                f"{self.model_name} has no weights, so that {mode} would show what random numbers find; train it, or "
                "pass trained weights, such as model=best.pt (in Python also .load('best.pt'))."
            )

    def _check_is_pytorch_model(self) -> None:
        """Ultralytics asks this before everything that needs a network (save, load, fuse, export, ...)."""
        super()._check_is_pytorch_model()
        check_network(self.model, self.task, self.family, self.model_name)
        self._check_learns()

    def _check_learns(self) -> None:
        if not getattr(self.model, "learns", True):
            name = self.yaml.get("method", self.family)
            raise ConfigError(
                f"{self.model_name}: {name} learns nothing and has no layers and no weights, so that there is "
                "nothing to train, export, benchmark or save; use predict, val or info."
            )

    @user_errors()
    def save_plain(self, path: str | Path, half: bool = False) -> Path:
        """Save weights without code: safetensors with the resolved YAML and the class names in the header.

        Args:
            path: Target; the suffix becomes ``.safetensors``. ``RSDet(path)`` loads it again.
            half: Keep parameters in half precision, half the size.
        """
        self._check_is_pytorch_model()
        self._say_untrained()
        return checkpoint.save_plain(self.model, path, half)

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, revision: str | None = None, token: str | None = None, **settings: Any
    ) -> Self:
        """Load weights by name: those of the zoo, a repository of the Hugging Face Hub, or a file.

        Args:
            name: Name from ``rsdet list weights``, ``org/name`` on the Hub (extra ``hub``), or a path.
            revision: Branch, tag or commit of the repository.
            token: For private repositories; the stored one where None.
            **settings: What the class takes besides.

        Raises:
            RSDetError: There are no such weights, or they cannot be fetched.
        """
        if hub.is_repository(str(name)):
            name = hub.pull(str(name), revision, token)
        elif revision is not None:
            raise ConfigError(f"revision={revision!r} is of a repository, and {name} is none; leave revision= out.")
        return cls(name, **settings)

    @user_errors()
    def push_to_hub(self, repository: str, **settings: Any) -> str:
        """Put the weights into a repository of the Hugging Face Hub: safetensors, model YAML and a card.

        Args:
            repository: ``org/name``; made where it is missing.
            **settings: ``half``, ``card``, ``private``, ``token`` and ``message``, see :func:`rsdet.hub.push`. Without
                ``card``, weights that have a name keep theirs, which says whom to credit.

        Returns:
            The address of the repository.
        """
        self._check_is_pytorch_model()
        self.check_trained("push_to_hub")
        given = fit(hub.push, settings, "push_to_hub", also=["network", "repository"])
        given.setdefault("card", zoo.facts_about(self.model, self.ckpt_path))
        return hub.push(self.model, repository, **given)

    def _say_untrained(self) -> None:
        if self.untrained:
            LOGGER.warning(f"{self.model_name} is untrained: its speed can be measured, what it finds means nothing.")

    @user_errors()
    def info(
        self, detailed: bool = False, verbose: bool = True, imgsz: int | Sequence[int] | None = None
    ) -> dict[str, Any]:
        """Parameters and FLOPs by both conventions.

        Args:
            detailed: Also per layer.
            verbose: Print the table.
            imgsz: Input size in pixels, one number or (height, width); where None that of the model's recipe, else what
                is usual for the task.

        Returns:
            ``params``, ``gflops_legacy``, ``gflops_true`` and, when detailed, ``layers``. For a method without layers
            the operations are None: they depend on the image.
        """
        if verbose and hasattr(self.model, "describe"):
            LOGGER.info(self.model.describe())
        if not getattr(self.model, "learns", True):
            return {"params": 0, "gflops_legacy": None, "gflops_true": None}
        self._check_is_pytorch_model()
        imgsz = imgsz or usual_imgsz(self.yaml) or self.definition.imgsz
        cost = complexity(self.model, imgsz=imgsz, ch=self.yaml.get("channels", 3))
        if verbose:
            LOGGER.info(cost.table(detailed=detailed))
        out = {"params": cost.params, "gflops_legacy": cost.gflops_legacy, "gflops_true": cost.gflops_true}
        return {**out, "layers": cost.layers} if detailed else out


def opened(model: Any, **settings: Any) -> Any:
    """A model with its modes, for rooms that the class with the modes stands on.

    Args:
        model: What :class:`rsdet.RSDet` takes: a name, a path, or another wrapper of Ultralytics.
        **settings: What it takes besides.

    Returns:
        The :class:`rsdet.RSDet`.
    """
    return import_module("rsdet").RSDet(model, **settings)
