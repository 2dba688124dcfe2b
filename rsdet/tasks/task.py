"""What a task brings: the one object that the command line, the Python class and the deployment are handed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from rsdet.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from rsdet.deploy.parts import Part
    from rsdet.deploy.runners import Runner, TorchRunner
    from rsdet.deploy.settings import ExportSettings
    from rsdet.deploy.verify import Run


class Report(Protocol):
    """Outcome of a comparison of an exported file with its network."""

    @property
    def ok(self) -> bool:
        """Whether both agree."""

    @property
    def vacuous(self) -> bool:
        """Whether nothing was there to be compared, so that ``ok`` says nothing."""

    def summary(self) -> str:
        """The outcome in one line."""


@dataclass(frozen=True)
class NoOptions:
    """Settings of an export that only a task has: none. Those of a task are a frozen dataclass derived from this.

    Attributes:
        remedy: What may be set to accept an artifact that departs further from its network.
    """

    remedy: ClassVar[str] = ""

    def labels(self) -> tuple[str, ...]:
        """Words for the name of an artifact that is not as usual."""
        return ()


class Scores(dict[str, float]):
    """Measures by name; the first is what an export is judged by, and higher is better.

    Args:
        measures: Value by name.
        images: How many images they are of; 0 where that is not known.
    """

    def __init__(self, measures: Mapping[str, float], images: int = 0):
        super().__init__(measures)
        self.images = images


class Task:
    """A task; its folder's ``task.py`` derives from this and holds an instance as ``TASK``.

    Defaults suit one network (B, C, H, W) -> tensors. Rasters on one grid (two dates, SAR and optical, cube and LiDAR)
    are stacked along C, and the model YAML says which channels are which. A second input that is no raster, such as a
    question, makes :meth:`parts`.

    This module and every ``task.py`` import nothing heavy; methods import what they need.

    Attributes:
        name: Name of the folder, and what ``task=`` takes.
        about: One line for ``rsdet list tasks``.
        families: Families of models; the first is the default.
        variables: Names of what can still be set of weights, whose YAML is fixed.
        imgsz: Side of the input in pixels where nobody says otherwise.
        light: Module with a ``predict(args)`` that needs neither PyTorch nor Ultralytics, or None.
        tiles: Module with an ``open_tiles(model, given, tile_px)`` that makes of a model what looks at the tiles of a
            scene (:class:`rsdet.scenes.predictor.TilePredictor`), or None.
        tracks: Module with a ``track(model, source, ...)`` that follows what it finds from frame to frame, or None.
        end_to_end: What a benchmark calls the time from files to the outcome, such as ``"image files to boxes"``; empty
            where it times the network alone.
        unchecked: Settings of an export that let any disagreement pass.
        modes: Modes of its own: name to ``"module:function"``, imported on use.
        export_options: Dataclass of the keys of ``export`` that only this task has, with an ``Args:`` for help.
        stac_task: What it does, in a word of the extension of STAC for machine learning models.
        takes_int8: Whether eight bits are enough for it.
        used_keys: Keys of Ultralytics of which something comes, by mode; of all of them in a mode that is not named.
        unused_keys: Those of which something comes in the training of a detector, and nothing in this task's.
        loss_unit: Unit in which a loss of accuracy is told, and how many of it make one of what :meth:`score` gives.
    """

    name: str
    about: str
    families: tuple[str, ...]
    variables: tuple[str, ...] = ()
    imgsz: int = 640
    light: str | None = None
    tiles: str | None = None
    tracks: str | None = None
    end_to_end: str = ""
    unchecked: Mapping[str, float] = {}
    modes: Mapping[str, str] = {}
    export_options: type[NoOptions] = NoOptions
    stac_task: str = "regression"
    takes_int8: bool = False
    used_keys: Mapping[str, frozenset[str]] = {}
    unused_keys: frozenset[str] = frozenset()
    loss_unit: tuple[str, float] = ("points of 100", 100.0)

    # -- what it is made of ---------------------------------------------------------------------------------------

    def classes(self, family: str) -> dict[str, Any]:
        """Classes of a family in the form of a row of Ultralytics' ``Model.task_map``.

        ``model``, ``trainer``, ``validator``, ``predictor`` and ``tuner``; a mode whose class is absent is not offered.
        Keyword-only parameters of their ``__init__`` (of a predictor, of its ``configure``) are the keys of that mode
        beyond those of Ultralytics; ``rsdet help`` prints their ``Args:``.
        """
        raise NotImplementedError

    def check_yaml(self, d: dict[str, Any], name: str) -> dict[str, Any]:
        """Check, and complete, what a resolved model YAML says of itself.

        Raises:
            ConfigError: It describes no model of this task.
        """
        return d

    def family_of(self, head: str) -> str:
        """Family of a network that does not say it, by the name of its last layer."""
        return self.families[0]

    def check_model(self, module: Any, family: str, name: str) -> None:
        """Refuse a network that is for another task, whatever its file says.

        Raises:
            ConfigError: Its head belongs to another task.
        """

    def set_variables(self, model: Any, values: Mapping[str, Any], name: str) -> None:
        """Set what can still be set of weights, :attr:`variables`.

        Raises:
            ConfigError: Something else, or a value out of its range.
        """
        if fixed := sorted({*values} - {*self.variables}):
            raise ConfigError(f"{', '.join(fixed)}: only a model YAML takes this, {name} has a fixed architecture.")

    def build(self, d: dict[str, Any], verbose: bool = False) -> Any:
        """Build the network of a resolved model YAML."""
        return self.classes(d["family"])["model"](d, ch=d.get("channels", 3), verbose=verbose)

    # -- data and modes -------------------------------------------------------------------------------------------

    def resolve_data(self, data: str | Path) -> Path:
        """Path of the data YAML that ``data=`` stands for; see :func:`rsdet.data.resolve.resolve_data`."""
        from rsdet.data.resolve import resolve_data

        return resolve_data(data, self.name)

    def stored_data(self, data: Any) -> Path | None:
        """The data that weights name, where they lie on this disk and nothing has to be fetched for them."""
        from rsdet.data.download import find_stored

        return find_stored(data)

    def stock_keys(self, mode: str) -> frozenset[str] | None:
        """Keys of Ultralytics of which something comes in ``mode``; None for all."""
        if mode == "train" and self.unused_keys:
            from rsdet.arguments import training_keys

            return training_keys() - self.unused_keys
        return self.used_keys.get(mode)

    def refuses(self, key: str, mode: str) -> str | None:
        """Why a key of Ultralytics, or of another task, would mislead here; None where it does not."""
        return None

    def settings(self, mode: str, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments of a mode in terms that Ultralytics knows, before they are checked.

        Args:
            mode: ``train``, ``val`` or ``predict``.
            model: The :class:`rsdet.RSDet`.
            given: Arguments of the user.

        Raises:
            ConfigError: What they ask for cannot be.
        """
        return dict(given)

    def usual(self, mode: str, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """What is set where neither the user nor a recipe does.

        Args:
            mode: ``train``, ``val`` or ``predict``.
            model: The :class:`rsdet.RSDet`.
            given: What they do set; ``data`` is the path of the data YAML.
        """
        return {}

    def validate(self, model: Any, own: dict[str, Any], measure: Callable[..., Any]) -> Any:
        """Run a validation.

        Args:
            model: The :class:`rsdet.RSDet`.
            own: Arguments for the validator.
            measure: Runs it with such arguments, into ``save_dir=`` where given, and gives its metrics.
        """
        return measure(own)

    def outcome(self, images: int, items: int) -> str:
        """What ``predict`` has done, in one clause: ``"12 objects in 3 images"``."""
        return f"{images} image{'s' * (images != 1)} done"

    # -- deployment -----------------------------------------------------------------------------------------------

    def check_export(self, settings: ExportSettings) -> None:
        """Refuse settings of an export that cannot work for this task.

        Raises:
            ConfigError: Values that do not fit together.
        """

    def input_size(self, model: Any, imgsz: int | Sequence[int] | None) -> tuple[int, int]:
        """Height and width in pixels that an export has; those of the training where ``imgsz`` is None.

        Raises:
            ConfigError: A size that the network does not take.
        """
        from rsdet.deploy.settings import input_size

        return input_size(model, imgsz, self.imgsz)

    def exporter_settings(self, module: Any, settings: ExportSettings) -> dict[str, Any]:
        """Export arguments of Ultralytics beyond those that every task has."""
        return {}

    def parts(self, module: Any, settings: ExportSettings) -> Mapping[str, Part]:
        """Parts of a network with an input that is no raster, each a graph of its own; nothing for all others.

        They are exported into one folder, see :mod:`rsdet.deploy.parts`.
        """
        return {}

    def open_parts(self, folder: Path, threads: int | None = None) -> Runner:
        """Exported :meth:`parts`, run as one: inputs to the same outputs as :meth:`reference`.

        Args:
            folder: Where they lie.
            threads: Threads for one operator; the backend's own choice when None.
        """
        raise NotImplementedError

    def describe(self, module: Any, settings: ExportSettings | None = None) -> dict[str, Any]:
        """What weights and exported files of a network say beyond what all of them say.

        Args:
            module: The network.
            settings: Those of the export; None for weights.
        """
        return {}

    def preprocess_rule(self, module: Any) -> str:
        """How a file becomes an input of an exported graph, in words, for whoever runs it by other means."""
        return f"as the task {self.name} stacks its samples"

    def sample(self, model: Any, size: tuple[int, int], images: Sequence[Any] | None) -> list[Any]:
        """Samples that prove and time an export: the user's, else of the data it was trained on, else rendered.

        Args:
            model: Loaded wrapper.
            size: Height and width of the input in pixels.
            images: What the user gave, paths or arrays; None for a choice of the task's.
        """
        raise NotImplementedError

    def reference(self, module: Any, settings: ExportSettings) -> Any:
        """A copy of a network in the form in which it was exported; what an artifact is compared with."""
        from copy import deepcopy

        return deepcopy(module)

    def in_graph(self, output: np.ndarray, settings: ExportSettings) -> np.ndarray:
        """Output of the last row in the form in which it stands in the graph, for the comparison row by row."""
        return output

    def compare(self, reference: TorchRunner, runs: Sequence[Run], settings: ExportSettings) -> Report:
        """Compare what a network and an exported file make of the same inputs; by default, number by number.

        Args:
            reference: The network, ready to run once more.
            runs: Inputs and what came of them on both sides.
            settings: Those of the export, with tolerances in ``settings.options``.
        """
        from rsdet.deploy.parity import compare_outputs

        return compare_outputs(runs, settings.half)

    def score_settings(self, settings: ExportSettings) -> dict[str, Any]:
        """Arguments of :meth:`score` by which weights and an exported file are measured alike."""
        return {}

    def score(self, model: Any, data: str | Path, **settings: Any) -> Scores:
        """Accuracy of a loaded model, from weights or an exported file.

        Args:
            model: :class:`rsdet.RSDet`.
            data: Data YAML or the name of a shipped data set.
            **settings: Arguments of ``val``, and those of :meth:`score_settings`.

        Raises:
            ConfigError: The task has no measure.
            DataError: The data has nothing to measure by.
        """
        raise ConfigError(f"task={self.name} has no measure of accuracy; leave data= out.")

    # -- benchmark ------------------------------------------------------------------------------------------------

    # Its hooks are handed what a model says of itself, ``spec``: ``family``, ``channels``, ``sar``, ``bands``,
    # ``names``,
    # ``untrained`` (where there is something to say) and what :meth:`describe` adds.

    def preprocess(self, inputs: Sequence[Any], spec: Mapping[str, Any], size: tuple[int, int]) -> Any:
        """Stack inputs of :meth:`sample` or :meth:`read` to what a network takes, (B, C, H, W) float32."""
        import numpy as np

        return np.ascontiguousarray(np.stack(inputs), dtype=np.float32)

    def read(self, file: Path, spec: Mapping[str, Any]) -> Any:
        """A file as the model reads it; asked for only where there is an :attr:`end_to_end`."""
        raise NotImplementedError

    def pipeline(
        self, run: Runner, spec: Mapping[str, Any], size: tuple[int, int], chain: Any = None
    ) -> Callable[[Sequence[Path]], Any]:
        """What is timed as :attr:`end_to_end`: from as many files as the network takes at once to their outcome.

        Args:
            run: The network, (B, C, H, W) float32 to its output or outputs.
            spec: What the model says of itself.
            size: Height and width of its input in pixels.
            chain: What :meth:`chain` gave.
        """
        raise NotImplementedError

    def pictures(self, data: str | Path, spec: Mapping[str, Any], folder: Path, most: int) -> list[Path]:
        """Files of the validation split, spread over it, that a benchmark times and shows.

        Args:
            data: Data YAML or the name of a shipped dataset.
            spec: What the model says of itself.
            folder: Where to put inputs that the data set makes on the fly.
            most: No more than these.
        """
        return []

    def ground(
        self, spec: Mapping[str, Any], size: tuple[int, int], data: str | Path | None, pictures: Sequence[Path]
    ) -> tuple[int, float | None]:
        """How much ground one input of a network stands for, by which a benchmark tells its rate.

        Args:
            spec: What the model says of itself.
            size: Height and width of its input in pixels.
            data: The data set that is timed, where there is one.
            pictures: What :meth:`pictures` gave, or the user.

        Returns:
            Pixels, and metres a pixel; None where nobody says, or pictures are brought to another size.
        """
        return size[0] * size[1], None

    def chain(self, model: Any, settings: Mapping[str, Any]) -> Any:
        """What enhances before the model, an :class:`rsdet.enhance.chain.EnhanceChain`, or None.

        Args:
            model: The :class:`rsdet.RSDet`.
            settings: ``enhance``, ``enhance_tile`` and ``enhance_overlap``, as far as they were given.

        Raises:
            ConfigError: Nothing can stand before this model.
        """
        if settings:
            raise ConfigError(f"{next(iter(settings))}= does not apply to task={self.name}; leave it out.")

    def draw(self, model: Any, file: Path, spec: Mapping[str, Any], size: tuple[int, int]) -> Any:
        """Show what a model makes of a file on the page of a benchmark: (H, W, 3) uint8 in BGR, or None.

        What was never trained (``untrained`` of ``spec``) makes nothing: the picture alone is shown.
        """
        return None
