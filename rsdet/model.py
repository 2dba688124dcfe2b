"""RSDet: the one Python class. What the command line can do, it does by calling a method of this class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ultralytics.cfg import TASK2DATA
from ultralytics.engine.model import Model
from ultralytics.utils import LOGGER

from rsdet import checkpoint, tasks
from rsdet.arguments import check_keys, fit, split_keys, with_cfg
from rsdet.data.download import find_stored
from rsdet.deploy.benchmark import benchmark
from rsdet.deploy.complexity import complexity
from rsdet.deploy.export import export
from rsdet.enhance.export import export_chain
from rsdet.enhance.wiring import chain_detector, is_chain_json
from rsdet.errors import ConfigError
from rsdet.loading import Loaded, adopted, load_model
from rsdet.quiet import plain_labels, silent_opencv
from rsdet.recipes import recipe_settings
from rsdet.tasks.task import Task
from rsdet.tasks.training import resume_line, resumed
from rsdet.usererrors import user_errors
from rsdet.writing import full_disk


class RSDet(Model):
    """A model of any task, from a YAML, a checkpoint or an exported file.

    The keys of a mode are those of Ultralytics and those of the class that runs it: ``rsdet help TASK MODE``.

    Args:
        model: Model YAML (shipped name or path), ``.pt`` or ``.safetensors`` weights, an exported artifact, or a JSON
            that ties a detector to enhancers (:mod:`rsdet.enhance.chain_json`).
        task: Task; normally read from the file.
        scale: Size of a YAML instead of the one it states. A number is the enlargement of a model that restores
            pictures, its variable ``upscale``.
        attention: For a YAML, an attention behind the deepest level, such as ``"ShuffleAttention"``; see
            :func:`rsdet.parts.add_parts`.
        head: For a YAML of the YOLO family, ``"SSCDetect"`` or ``"Detect"`` instead of its own head.
        verbose: Print the layer table.
        **variables: Values for the variables of a YAML, such as ``nq=500`` or ``kernels=[7, 9, 11, 13]``. Weights
            of the RT-DETR family take two: ``nq``, and ``decoder_layers``, the number of decoder layers to run at
            inference (see :func:`rsdet.nn.folded_decoder.use_decoder_layers`; measure what it costs).

    Attributes:
        family: Family of the model, one of its task's.

    Examples:
        >>> from rsdet import RSDet
        >>> model = RSDet("vmc-detr.yaml", scale="n")
        >>> model.info(verbose=False)["params"] > 0
        True
    """

    @user_errors()
    def __init__(
        self,
        model: str | Path | Model = "vmc-detr.yaml",
        task: str | None = None,
        verbose: bool = False,
        *,
        scale: str | int | None = None,
        attention: str | None = None,
        head: str | None = None,
        **variables: Any,
    ):
        if not isinstance(model, (str, Path, Model)) or not str(model).strip():
            raise ConfigError(f"model={model!r} must be the name or path of a model YAML, weights or an exported file.")
        parts = {k: v for k, v in (("attention", attention), ("head", head)) if v is not None}
        self._settings = {"scale": scale, "parts": parts, "variables": variables}
        self._chain: list[Any] | None = None  # what a chain JSON puts before its detector
        if is_chain_json(model):
            model, self._chain = chain_detector(model)
        super().__init__(model=model, task=task, verbose=verbose)
        if isinstance(model, Model) and not isinstance(model, RSDet):
            self._chain = None
            self._adopt(adopted(model))
        if self.overrides.get("data") is not None and not find_stored(self.overrides["data"]):
            self.overrides["data"] = None  # what a checkpoint names is never fetched; the exporter wants the key

    def _new(self, cfg: str, task: str | None = None, verbose: bool = False) -> None:
        self._adopt(load_model(cfg, task, verbose=verbose, **self._settings))

    def _load(self, weights: str, task: str | None = None) -> None:
        self._adopt(load_model(weights, task, **self._settings))

    def _adopt(self, loaded: Loaded) -> None:
        self.loaded = loaded
        TASK2DATA.setdefault(loaded.task, None)  # Ultralytics looks up a default set; data= is always given
        for key in ("model", "task", "family", "model_name", "cfg", "ckpt", "ckpt_path", "overrides"):
            setattr(self, key, getattr(loaded, key))

    # -- what it is -----------------------------------------------------------------------------------------------

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
        self._check_learns()

    def _check_learns(self) -> None:
        if not getattr(self.model, "learns", True):
            name = self.yaml.get("method", self.family)
            raise ConfigError(
                f"{self.model_name}: {name} learns nothing and has no layers and no weights, so that there is "
                "nothing to train, export, benchmark or save; use predict, val or info."
            )

    @user_errors()
    def save_plain(self, path: str | Path) -> Path:
        """Save weights without code: safetensors with the resolved YAML and the class names in the header.

        Args:
            path: Target; the suffix becomes ``.safetensors``. ``RSDet(path)`` loads it again.
        """
        self._check_is_pytorch_model()
        self._say_untrained()
        return checkpoint.save_plain(self.model, path)

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
            imgsz: Input size in pixels, one number or (height, width); what is usual for the task where None.

        Returns:
            ``params``, ``gflops_legacy``, ``gflops_true`` and, when detailed, ``layers``. For a method without layers
            the operations are None: they depend on the image.
        """
        if verbose and hasattr(self.model, "describe"):
            LOGGER.info(self.model.describe())
        if not getattr(self.model, "learns", True):
            return {"params": 0, "gflops_legacy": None, "gflops_true": None}
        self._check_is_pytorch_model()
        cost = complexity(self.model, imgsz=imgsz or self.definition.imgsz, ch=self.yaml.get("channels", 3))
        if verbose:
            LOGGER.info(cost.table(detailed=detailed))
        out = {"params": cost.params, "gflops_legacy": cost.gflops_legacy, "gflops_true": cost.gflops_true}
        return {**out, "layers": cost.layers} if detailed else out

    # -- modes ----------------------------------------------------------------------------------------------------

    def _class(self, part: str, mode: str, given: type | None) -> Any:
        """The class that runs a mode: the user's, else the task's."""
        cls = given or self.task_map[self.task].get(part)
        if cls is None:
            raise ConfigError(f"{mode} is not offered for task={self.task} with {self.model_name}; `rsdet list tasks`.")
        return cls

    def _checked(self, mode: str, cls: Any, kwargs: Mapping[str, Any], **named: Any) -> dict[str, Any]:
        """All arguments of a mode, once they are known to be good."""
        given = {**with_cfg(kwargs), **{k: v for k, v in named.items() if v is not None}}
        given = self.definition.settings(mode, self, given)
        check_keys(given, mode, self.definition, cls)
        if given.get("task") not in (None, self.task):
            raise ConfigError(f"task={given['task']!r}, but this is a model for task={self.task!r}; leave task= out.")
        return given

    def _completed(self, mode: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments with what is usual where nothing is said; results go below the folder the command is run in."""
        usual = self.definition.usual(mode, self, given)
        given = {**given, **{k: v for k, v in usual.items() if given.get(k) is None}}
        project = Path(given.get("project") or Path("runs") / self.task).expanduser()
        return {**given, "project": str(project.absolute())}

    def _data(self, data: Any, mode: str) -> str:
        """Path of the data YAML that ``data=`` stands for."""
        if data is None:
            raise ConfigError(f"{mode} needs data=; pass a data YAML or a shipped dataset such as data=demo.")
        return str(self.definition.resolve_data(data))

    @user_errors()
    def train(self, trainer: type | None = None, *, data: Any = None, recipe: str | None = None, **kwargs: Any) -> Any:
        """Train on a dataset.

        Args:
            trainer: A trainer class instead of the task's own.
            data: Shipped dataset name (``"visdrone.yaml"``, ``"demo"``, ``"demo-sar"``) or path of a data YAML.
            recipe: Named settings of the model, such as ``"paper"``; the YAML's own where not given, ``"none"`` for
                Ultralytics' defaults. Explicit arguments win over a recipe.
            **kwargs: Any training argument of Ultralytics, and those of the task's trainer.

        Returns:
            Ultralytics' metrics of the best checkpoint.

        Raises:
            RSDetError: Bad input.
            KeyboardInterrupt: After Ctrl-C, with the command that resumes.
        """
        self._check_is_pytorch_model()
        cls = self._class("trainer", "train", trainer)
        given = self._checked("train", cls, kwargs, data=data, recipe=recipe)
        recipe, resume = given.pop("recipe", None), given.get("resume")
        if resume:
            given = resumed(self, given)
        elif given.get("data") is None:
            self._data(None, "train")
        else:
            given = self._fresh_start(recipe, given)
        if hasattr(cls, "check_settings"):
            cls.check_settings(given)
        if given.get("data") is not None:  # last of all checks: a dataset may have to be rendered or downloaded
            given["data"] = self._data(given["data"], "train")
        given = given if resume else self._completed("train", given)
        try:
            with silent_opencv(), full_disk(given["save_dir" if resume else "project"]):
                return super().train(trainer=trainer, **given)
        except KeyboardInterrupt as e:
            if self.trainer is None:
                raise
            raise KeyboardInterrupt(resume_line(self.trainer.save_dir)) from e  # ends a loop of trainings, too

    def _fresh_start(self, recipe: str | None, given: dict[str, Any]) -> dict[str, Any]:
        """Arguments of a training from its beginning, with those of its recipe."""
        name, settings = recipe_settings(self.yaml, recipe)
        if settings:
            LOGGER.info(f"recipe {name}: " + ", ".join(f"{k}={v}" for k, v in settings.items() if k not in given))
        given = {**settings, **given}
        if not self.ckpt:  # from a YAML: seeded fresh weights of exactly this scale and these variables
            self.ckpt = {"model": None}
            if self.untrained and given.get("pretrained") is True:
                LOGGER.info(
                    f"pretrained=True: {self.model_name} brings no weights, training starts from random ones; "
                    "pretrained=weights.pt names some."
                )
            if self.untrained and not isinstance(given.get("pretrained"), (str, Path)):
                given["pretrained"] = False
        if isinstance(given.get("pretrained"), (str, Path)):
            checkpoint.examine(given["pretrained"])
        return given

    @user_errors()
    def tune(self, use_ray: bool = False, iterations: int = 10, *args: Any, data: Any = None, **kwargs: Any) -> Any:
        """Search for training settings; see :class:`rsdet.tasks.detect.tune.DetectTuner`.

        Args:
            use_ray: Not offered: Ray's workers know no models of ours.
            iterations: Number of trials; each is a training of ``epochs`` epochs in a process of its own.
            *args: Not offered.
            data: Shipped dataset name or path of a data YAML.
            **kwargs: Arguments of :meth:`train`, and ``space``: setting to its (lowest, highest) value. ``resume=True``
                with the same ``project`` and ``name`` goes on with an earlier search.

        Returns:
            The best settings; also written as ``best_hyperparameters.yaml``.

        Raises:
            RSDetError: Bad input, or not one trial could be trained.
        """
        if use_ray or args:
            raise ConfigError("tune with Ray is not supported; leave use_ray= out, which searches without it.")
        self._check_is_pytorch_model()
        tuner, trainer = self._class("tuner", "tune", None), self._class("trainer", "tune", None)
        space = {k: kwargs.pop(k) for k in ("space",) if k in kwargs}
        given = {**self._checked("train", trainer, kwargs, data=data), **space}
        if not isinstance(iterations, int) or iterations < 1:
            raise ConfigError(f"iterations={iterations!r} must be a whole number of 1 or more.")
        given["data"] = self._data(given.get("data"), "tune")
        settings = {"optimizer": "AdamW", **recipe_settings(self.yaml, given.pop("recipe", None))[1]}
        given = self._completed("train", {**self.overrides, **settings, **given, "mode": "train"})
        return tuner(args=given, model=self.model, _callbacks=self.callbacks)(iterations)

    @user_errors()
    def val(self, validator: type | None = None, *, data: Any = None, **kwargs: Any) -> Any:
        """Measure accuracy on a dataset.

        Args:
            validator: A validator class instead of the task's own.
            data: Shipped dataset name or path of a data YAML; that of the training where not given.
            **kwargs: Any validation argument of Ultralytics, and those of the task's validator.

        Returns:
            The metrics of the task's validator.
        """
        cls = self._class("validator", "val", validator)
        given = self._checked("val", cls, kwargs, data=data)
        self.check_trained("val")  # before data are fetched
        if hasattr(cls, "check_settings"):
            cls.check_settings(given, self)
        data = given.get("data")
        given["data"] = self._data(self.overrides.get("data") if data is None else data, "val")
        own, given = split_keys(cls, self._completed("val", given))

        def measure(own: Mapping[str, Any], **more: Any) -> Any:
            def start(**stock: Any) -> Any:
                made = cls(**stock, **own)
                if hasattr(made, "adopt"):
                    made.adopt(self)
                return made

            with silent_opencv(), plain_labels(), full_disk(given["project"]):
                return super(RSDet, self).val(validator=start, **{**given, **more})

        return self.definition.validate(self, own, measure)

    @user_errors()
    def predict(self, source: Any = None, stream: bool = False, predictor: type | None = None, **kwargs: Any) -> Any:
        """Look at images, folders, globs, videos or lists of them.

        Args:
            source: What to look at. Files that cannot be used are left out and named in ``skipped``.
            stream: Return a generator, which holds one picture at a time.
            predictor: A predictor class instead of the task's own.
            **kwargs: Any prediction argument of Ultralytics, and those of the task's predictor (its ``configure``).

        Returns:
            One result per image.

        Raises:
            RSDetError: Bad input, or no image of the source can be used.
        """
        cls = self._class("predictor", "predict", predictor)
        given = self._checked("predict", cls, kwargs, source=None)
        self.check_trained("predict")
        stated = given.pop("source", None)
        own, given = split_keys(cls, self._completed("predict", given))
        results = self._results(stated if source is None else source, predictor, own, given)
        return results if stream else list(results)

    def _results(
        self, source: Any, predictor: type | None, own: dict[str, Any], given: dict[str, Any]
    ) -> Iterator[Any]:
        with user_errors():
            # Without a source, Ultralytics would look at pictures of its own.
            results = super().predict([] if source is None else source, stream=True, predictor=predictor, **given)
            if hasattr(self.predictor, "configure"):
                self.predictor.configure(self, **own)
            yield from results

    @user_errors()
    def track(self, *args: Any, **kwargs: Any) -> Any:
        """Follow objects through a video, as Ultralytics does; its trackers need the package ``lap``."""
        return super().track(*args, **kwargs)

    @user_errors()
    def export(self, **kwargs: Any) -> Any:
        """Export, then check that the artifact finds the same; see :func:`rsdet.deploy.export.export`.

        With ``enhance=``, into a folder of several files; see :func:`rsdet.enhance.export.export_chain`.
        """
        chain = self.definition.chain(self, {k: kwargs.pop(k) for k in ("enhance", "tile", "overlap") if k in kwargs})
        if chain is not None:
            return export_chain(self, chain, kwargs)
        self._check_is_pytorch_model()
        self._say_untrained()
        return export(self, **kwargs)

    @user_errors()
    def benchmark(self, **kwargs: Any) -> Any:
        """Measure speed and accuracy of the same artifacts; see :func:`rsdet.deploy.benchmark.benchmark`."""
        self._check_learns()
        self._say_untrained()
        return benchmark(self, **fit(benchmark, kwargs, "benchmark", also=["model"]))
