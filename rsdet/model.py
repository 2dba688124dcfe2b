"""RSDet: the one Python class. What the command line can do, it does by calling a method of this class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from ultralytics.engine.model import Model

from rsdet.arguments import fit, own_keys, split_keys
from rsdet.calls import Turn, checked, class_of, completed, data_yaml
from rsdet.deploy.benchmark import benchmark
from rsdet.deploy.export import export
from rsdet.enhance.export import export_chain
from rsdet.enhance.wiring import KEYS, chain_detector, check_moved, is_chain_json
from rsdet.errors import ConfigError
from rsdet.loadedmodel import LoadedModel
from rsdet.loading import adopted
from rsdet.quiet import plain_labels, silent_opencv
from rsdet.scenes import settings as scenes
from rsdet.scenes.model import scene_run
from rsdet.tasks.runs import forget
from rsdet.tasks.training import from_the_start, resume_line, resumed
from rsdet.usererrors import user_errors
from rsdet.writing import full_disk


class RSDet(LoadedModel):
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
        head: For a YAML of a detector of the YOLO family, ``"SSCDetect"`` or ``"Detect"`` instead of its own head.
        verbose: Print the layer table.
        **variables: Values for the variables of a YAML, such as ``nq=500`` or ``kernels=[7, 9, 11, 13]``. Weights
            of the RT-DETR family take two: ``nq``, and ``decoder_layers``, the number of decoder layers to run at
            inference (see :func:`rsdet.nn.folded_decoder.use_decoder_layers`; measure what it costs). Methods that
            learn from each picture, such as ``hac-moe``, take ``recipe``, named settings of their YAML.

    Attributes:
        family: Family of the model, one of its task's.

    Examples:
        >>> from rsdet import RSDet
        >>> model = RSDet("vmc-detr.yaml", scale="n")
        >>> model.info(verbose=False)["params"] > 0
        True
    """

    _predicted_by: tuple[Any] = (None,)  # the network that its predictor has; PyTorch would take it for a part

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
            self._adopt(adopted(model, task))
        if self.overrides.get("data") is not None and not self.definition.stored_data(self.overrides["data"]):
            self.overrides["data"] = None  # what a checkpoint names is never fetched; the exporter wants the key

    # -- modes ----------------------------------------------------------------------------------------------------

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
        cls = class_of(self, "train", trainer)
        given = checked(self, "train", cls, kwargs, data=data, recipe=recipe)
        recipe, resume = given.pop("recipe", None), given.get("resume")
        if resume:
            given = resumed(self, given)
        elif given.get("data") is None:
            data_yaml(self, None, "train")
        else:
            given = from_the_start(self, recipe, given)
        if hasattr(cls, "check_settings"):
            cls.check_settings(given)
        own, _ = split_keys(cls, given)
        if trainer is not None:  # ours read their keys from self.args, those of a user's class are its parameters
            trainer = partial(cls, **{k: v for k, v in own.items() if k in signature(cls).parameters})
        if given.get("data") is not None:  # last of all checks: a dataset may have to be rendered or downloaded
            given["data"] = data_yaml(self, given["data"], "train")
        given = given if resume else completed(self, "train", given)
        try:
            with silent_opencv(), full_disk(given["save_dir" if resume else "project"]):
                return super().train(trainer=trainer, **given)
        except BaseException as e:  # between trainer and training, too, where the model is built and data are read
            forget(getattr(self.trainer, "begun", None))
            if self.trainer is None or not isinstance(e, KeyboardInterrupt):
                raise
            raise KeyboardInterrupt(resume_line(self.trainer.save_dir)) from e  # ends a loop of trainings, too

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
        return class_of(self, "tune").search(self, iterations, data, kwargs)

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
        cls = class_of(self, "val", validator)
        given = checked(self, "val", cls, kwargs, data=data)
        self.check_trained("val")  # before data are fetched
        if hasattr(cls, "check_settings"):
            cls.check_settings(given, self)
        data = given.get("data")
        given["data"] = data_yaml(self, self.overrides.get("data") if data is None else data, "val")
        own, given = split_keys(cls, completed(self, "val", given))

        taken = own_keys(cls)  # a validator of the user's may know no protocol

        def measure(own: Mapping[str, Any], **more: Any) -> Any:
            folders = []

            def start(**stock: Any) -> Any:
                made = cls(**stock, **{k: v for k, v in own.items() if k in taken})
                folders.append(made.save_dir)
                if hasattr(made, "adopt"):
                    made.adopt(self)
                return made

            try:
                with silent_opencv(), plain_labels(), full_disk(given["project"]):
                    return super(RSDet, self).val(validator=start, **{**given, **more})
            except BaseException:
                for folder in folders:  # the next run has its name, where it came to nothing
                    with suppress(OSError):
                        Path(folder).rmdir()
                raise

        return self.definition.validate(self, own, measure)

    @user_errors()
    def predict(self, source: Any = None, stream: bool = False, predictor: type | None = None, **kwargs: Any) -> Any:
        """Look at images, folders, globs, videos or lists of them.

        Args:
            source: What to look at. Files that cannot be used are left out and named in ``skipped``.
            stream: Return a generator, which holds one picture at a time.
            predictor: A predictor class instead of the task's own.
            **kwargs: Any prediction argument of Ultralytics, those of the task's predictor (its ``configure``), and
                with ``tile=`` those about scenes (:class:`rsdet.scenes.settings.SceneSettings`).

        Returns:
            One result per image; with ``tile=`` one per scene (:class:`rsdet.scenes.result.SceneResult`).

        Raises:
            RSDetError: Bad input, or no image of the source can be used.
        """
        if self.definition.tiles and scenes.asked(kwargs) and predictor is None:
            run = self.predictor = scene_run(self, source, kwargs)
            return iter(run) if stream else list(run)
        cls = class_of(self, "predict", predictor)
        if not hasattr(cls, "configure") and (self.sar or self.bands):
            raise ConfigError(
                f"predictor={cls.__name__} does not read files as the model was trained on them; derive it from the "
                "predictor of the task."
            )
        given = checked(self, "predict", cls, kwargs)
        self.check_trained("predict")
        stated = given.pop("source", None)
        own, given = split_keys(cls, completed(self, "predict", given))
        results = self._results(stated if source is None else source, cls, own, given, stream)
        return results if stream else list(results)

    @property
    def _turn(self) -> Turn:
        return self.__dict__.setdefault("_whose_turn", Turn())  # two threads that ask first get the same one

    def _results(
        self, source: Any, predictor: type, own: dict[str, Any], given: dict[str, Any], stream: bool
    ) -> Iterator[Any]:
        with user_errors(), self._turn.taken() as turn:
            if self.model is not self._predicted_by[0]:  # another network was put into this object
                self.predictor, self._predicted_by = None, (self.model,)
            # Without a source, Ultralytics would look at pictures of its own.
            results = super().predict([] if source is None else source, stream=True, predictor=predictor, **given)
            if hasattr(self.predictor, "configure"):
                self.predictor.configure(self, **own)
            turn.stream = results if stream else None
            yield from results

    @user_errors()
    def track(
        self, source: Any = None, stream: bool = False, persist: bool = False, *, tracker: str = "botsort",
        save_tracks: bool = False, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Follow objects through videos and folders of frames by Ultralytics' trackers (extra ``track``).

        Args:
            source: Videos, or the frames of a sequence: a folder, in the order of the numbers in their names.
            stream: Return a generator, which holds one frame at a time.
            persist: Go on with the tracks of the last call, for frames that come one by one.
            tracker: Tracker of Ultralytics, such as botsort or bytetrack, or a YAML with its settings.
            save_tracks: Write ``tracks/<sequence>.txt`` in the form of the MOT challenge: frame, id, left, top, width,
                height, score, class, -1, -1, and the corners of turned boxes; on the command line unless False.
            **kwargs: Arguments of :meth:`predict`.

        Returns:
            One result per frame, with what is followed in it; ``boxes.id`` (``obb.id``) is the number of a track.

        Raises:
            RSDetError: Bad input, the task finds nothing to follow, or the package ``lap`` is missing.
        """
        if not self.definition.tracks:
            raise ConfigError(f"track follows boxes, and task={self.task} finds none; use predict.")
        given = fit(RSDet.track, {"tracker": tracker, "save_tracks": save_tracks}, "track", also=["self", "source"])
        return import_module(self.definition.tracks).track(self, source, stream, persist, **given, given=kwargs)

    @user_errors()
    def export(self, **kwargs: Any) -> Any:
        """Export, then check that the artifact finds the same; see :func:`rsdet.deploy.export.export`.

        With ``enhance=``, into a folder of several files; see :func:`rsdet.enhance.export.export_chain`.
        """
        check_moved(kwargs)
        chain = self.definition.chain(self, {k: kwargs.pop(k) for k in KEYS if k in kwargs})
        if chain is not None:
            return export_chain(self, chain, kwargs)
        self._check_is_pytorch_model()
        self._say_untrained()
        return export(self, **kwargs)

    @user_errors()
    def benchmark(self, **kwargs: Any) -> Any:
        """Measure speed and accuracy of the same artifacts; see :func:`rsdet.deploy.benchmark.benchmark`."""
        check_moved(kwargs)
        self._check_learns()
        self._say_untrained()
        return benchmark(self, **fit(benchmark, kwargs, "benchmark", also=["model"]))
