"""RSDet: the one Python class. What the command line can do, it does by calling a method of this class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from torch.nn import Module
from ultralytics.engine.model import Model
from ultralytics.engine.results import Results
from ultralytics.utils import DEFAULT_CFG_DICT, LOGGER

from rsdet import checkpoint, tasks
from rsdet.arguments import check_keys, fit, with_cfg
from rsdet.data.download import find_stored
from rsdet.data.pictures import check_bands, reader_of
from rsdet.enhance.wiring import chain_detector, chain_for, is_chain_json, train_settings, use_chain, with_time
from rsdet.errors import CheckpointError, ConfigError, DataError
from rsdet.modelfiles import PLAIN_SUFFIX, check_head, family_of_head, is_artifact, is_official_asset, suggest
from rsdet.modelyaml import (
    LAYERLESS,
    ROWLESS,
    buildable,
    find_model_yaml,
    load_model_yaml,
    read_model_yaml,
    variable_names,
)
from rsdet.names import class_names
from rsdet.nn.folded_decoder import use_decoder_layers
from rsdet.quiet import plain_labels, silent_opencv
from rsdet.recipes import recipe_settings
from rsdet.runtime.metadata import say_untrained
from rsdet.tasks.detect.settings import max_det, rule_of, sar_settings, save_val
from rsdet.tasks.training import resume_folder, resume_line
from rsdet.usererrors import user_errors
from rsdet.writing import full_disk


class RSDet(Model):
    """A model of any task, from a YAML, a checkpoint or an exported file.

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
        **model_vars: Values for the variables of a YAML, such as ``nq=500`` or ``kernels=[7, 9, 11, 13]``. Weights
            of the RT-DETR family take two: ``nq``, and ``decoder_layers``, the number of decoder layers to run at
            inference (see :func:`rsdet.nn.folded_decoder.use_decoder_layers`; measure what it costs).

    Attributes:
        family: ``"rtdetr"``, ``"yolo"``, ``"restore"``, or that of a method without layers.
        skipped: One line for each file that the last prediction left out.

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
        **model_vars: Any,
    ):
        if not isinstance(model, (str, Path, Model)) or not str(model).strip():
            raise ConfigError(f"model={model!r} must be the name or path of a model YAML, weights or an exported file.")
        if isinstance(scale, int):
            scale, model_vars = None, {**model_vars, "upscale": scale}
        self._scale, self._model_vars = scale, model_vars
        self._artifact: dict[str, Any] = {}  # what an exported file says about itself
        self._parts = {k: v for k, v in (("attention", attention), ("head", head)) if v is not None}
        self.family = "rtdetr"
        self._fresh: tuple[Any, tuple[int, ...]] = (None, ())
        self._chain: list[Any] | None = None  # what a chain JSON puts before its detector
        if is_chain_json(model):
            model, self._chain = chain_detector(model)
        self.skipped: list[str] = []
        if not isinstance(model, Model) and Path(model).suffix == "" and find_model_yaml(model) is not None:
            model = f"{model}.yaml"  # the bare name of a shipped model, such as cfar
        super().__init__(model=model, task=task, verbose=verbose)
        if isinstance(model, Model):
            self._scale, self._model_vars, self._parts = scale, model_vars, {}
            self.family = getattr(self.model, "family", "rtdetr")
            self.skipped = []
            self._artifact = {}
            self._fresh = getattr(self, "_fresh", (None, ()))
        if self.overrides.get("data") is not None and not find_stored(self.overrides["data"]):
            self.overrides["data"] = None  # what a checkpoint names is never fetched; the exporter wants the key

    @property
    def untrained(self) -> bool:
        """Whether it is a network from a YAML whose random weights nobody has changed: loaded, trained or filled."""
        network, before = self._fresh
        return bool(before) and network is self.model and before == _versions(network)

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

    def _say_untrained(self) -> None:
        if self.untrained:
            LOGGER.warning(f"{self.model_name} is untrained: its speed can be measured, what it finds means nothing.")

    @property
    def task_map(self) -> dict[str, dict[str, Any]]:
        """Classes of each task for the family of this model."""
        return {self.task: tasks.get(self.task).classes(self.family)}

    @property
    def _channels(self) -> int | None:
        """Channels of the images, where the network or the artifact says so."""
        native = getattr(self.model, "yaml", None)
        return native.get("channels", 3) if isinstance(native, dict) else self._artifact.get("channels")

    @property
    def _yaml(self) -> dict[str, Any]:
        return getattr(self.model, "yaml", None) or {}

    @property
    def sar(self) -> dict[str, Any] | None:
        """How SAR files become pictures, as measured in training (``sar:`` of a data YAML); ``None`` without it."""
        native = getattr(self.model, "yaml", None)
        return native.get("sar") if isinstance(native, dict) else self._artifact.get("sar")

    @property
    def bands(self) -> list[int] | None:
        """Bands of the files, counted from 1, that it was trained with (``bands:`` of a data YAML); else ``None``."""
        native = getattr(self.model, "yaml", None)
        return native.get("bands") if isinstance(native, dict) else self._artifact.get("bands")

    # -- making a model -------------------------------------------------------------------------------------------

    def _new(self, cfg: str, task: str | None = None, verbose: bool = False) -> None:
        raw = read_model_yaml(cfg)
        if raw.get("family") == "per-image" and "recipe" in self._model_vars:  # it learns when it predicts
            recipe = recipe_settings(raw, self._model_vars.pop("recipe"))[1]
            self._model_vars = {**recipe, **self._model_vars}
        own = variable_names(raw)  # a YAML that has a variable of that name knows better
        values = {**self._model_vars, **{k: v for k, v in self._parts.items() if k in own}}
        d = load_model_yaml(cfg, self._scale, values, {k: v for k, v in self._parts.items() if k not in own})
        self.family = d["family"]
        self.task = task or d.get("task") or "detect"
        if self.task not in tasks.names():
            raise ConfigError(f"{cfg}: task must be one of {list(tasks.names())}, received {self.task!r}.")
        self.cfg = cfg
        with buildable(cfg):
            self.model = self._smart_load("model")(d, ch=d.get("channels", 3), verbose=verbose)
        if self.family not in ROWLESS:
            check_head(self.model.model[-1], self.family, cfg)
        tasks.get(self.task).check_model(self.model, self.family, cfg)
        self.overrides.update(model=self.cfg, task=self.task)
        self.model.args = {**DEFAULT_CFG_DICT, **self.overrides}
        self.model.task = self.task
        self.model_name = cfg
        self._fresh = (self.model, _versions(self.model))

    def _load(self, weights: str, task: str | None = None) -> None:
        upscale = self._model_vars.pop("upscale", None)  # of weights it is known; to say it again is no mistake
        unknown = {*self._model_vars, *self._parts} - {"nq", "decoder_layers"}
        if unknown or self._scale:
            words = sorted(unknown) + (["scale"] if self._scale else [])
            raise ConfigError(f"{', '.join(words)}: only a model YAML takes this, {weights} has a fixed architecture.")
        suffix = Path(weights).suffix.lower()
        if suffix == PLAIN_SUFFIX:
            self._adopt_plain(weights)
        elif suffix == ".pt":
            if Path(weights).is_file() or not is_official_asset(weights):
                checkpoint.check(weights)
                with checkpoint.loading(weights):
                    super()._load(weights, task=task)
                    checkpoint.check_model(self.model, weights)
                    self.model.names = class_names(self.model.names, twins=True)
            else:
                super()._load(weights, task=task)
            self.family = getattr(self.model, "family", None) or family_of_head(self.model)
            if self.task not in tasks.names():
                raise ConfigError(
                    f"{weights} is a model for task={self.task!r}; expected {' or '.join(tasks.names())}."
                )
            tasks.get(self.task).check_model(self.model, self.family, weights)
        elif suffix == "" and not Path(weights).exists():
            raise ConfigError(
                f"model={weights!r} is neither a file nor a shipped model.{suggest(weights)} `rsdet list` shows them."
            )
        else:
            self._adopt_artifact(weights, task)
        if upscale is not None and upscale != getattr(self.model, "scale", 1):
            fixed = getattr(self.model, "scale", 1)
            raise ConfigError(f"scale={upscale}: {weights} enlarges by {fixed}; leave it out, or train another model.")
        if "nq" in self._model_vars:
            self._set_queries(self._model_vars["nq"])
        if "decoder_layers" in self._model_vars:
            self._set_decoder_layers(self._model_vars["decoder_layers"])

    def _adopt_plain(self, weights: str) -> None:
        self.model, header = checkpoint.load_plain(weights)
        self.family, self.task = self.model.family, header["task"]
        self.overrides = {"model": weights, "task": self.task, "imgsz": header["imgsz"]}
        self.model.args = {**DEFAULT_CFG_DICT, **self.overrides}
        self.ckpt, self.ckpt_path, self.model_name = {"model": self.model}, weights, weights

    def _adopt_artifact(self, weights: str, task: str | None) -> None:
        if not Path(weights).exists():
            raise ConfigError(f"model={weights!r} does not exist.{suggest(weights)} Check the path.")
        if not is_artifact(weights):
            raise ConfigError(
                f"model={weights!r} is no model; pass a model YAML, .pt or {PLAIN_SUFFIX} weights, or an exported file."
            )
        from rsdet.deploy.artifact import check_foreign, read_metadata
        from rsdet.runtime.finite import check_weights

        meta = read_metadata(weights)
        check_foreign(meta, weights, tasks.names())
        check_weights(weights)
        if weights.endswith(".torchscript"):
            checkpoint.check_torchscript(weights)
        self.family = meta.get("family", "rtdetr" if "RTDETR" in str(meta.get("head", "")) else "yolo")
        super()._load(weights, task=task or meta.get("task") or "detect")
        self._artifact = meta
        say_untrained(meta, weights)
        if "imgsz" in meta:
            self.overrides["imgsz"] = meta["imgsz"]

    @property
    def _queries(self) -> int:
        """Queries of weights of the RT-DETR family, 0 for all else."""
        return getattr(getattr(self.model, "model", [None])[-1], "num_queries", 0)

    def _set_queries(self, nq: int) -> None:
        head = getattr(self.model, "model", [None])[-1]
        if not hasattr(head, "num_queries") or getattr(head, "learnt_init_query", False):
            raise ConfigError("nq= is for PyTorch models of the RT-DETR family with selected queries; leave it out.")
        if not isinstance(nq, int) or nq < 1:
            raise ConfigError(f"nq={nq!r} must be a whole number of 1 or more, such as 300.")
        head.num_queries = nq

    def _set_decoder_layers(self, layers: int) -> None:
        head = getattr(self.model, "model", [None])[-1]
        if not hasattr(getattr(head, "decoder", None), "eval_idx"):
            raise ConfigError("decoder_layers= is for PyTorch weights of the RT-DETR family; leave it out.")
        use_decoder_layers(head, layers)

    @user_errors()
    def save_plain(self, path: str | Path) -> Path:
        """Save weights without code: safetensors with the resolved YAML and the class names in the header.

        Args:
            path: Target; the suffix becomes ``.safetensors``. ``RSDet(path)`` loads it again.
        """
        self._check_is_pytorch_model()
        self._say_untrained()
        return checkpoint.save_plain(self.model, path)

    # -- modes ----------------------------------------------------------------------------------------------------

    @user_errors()
    def train(self, trainer: type | None = None, *, data: Any = None, recipe: str | None = None, **kwargs: Any) -> Any:
        """Train on a dataset.

        Args:
            trainer: A trainer class instead of the task's own.
            data: Shipped dataset name (``"visdrone.yaml"``, ``"demo"``, ``"demo-sar"``) or path of a data YAML.
            recipe: Named settings of the model, such as ``"paper"``; the YAML's own where not given, ``"none"`` for
                Ultralytics' defaults. Explicit arguments win over a recipe.
            **kwargs: Any training argument of Ultralytics, and ours: ``iou_loss`` (box loss, one of
                :data:`rsdet.losses.boxes.BOX_LOSSES`), ``speckle`` and ``rot90`` (see
                :data:`rsdet.arguments.TRAIN_DEFAULTS`); for a model that restores pictures, those of
                :data:`rsdet.arguments.RESTORE_DEFAULTS`. ``enhance`` puts networks of the task ``restore`` before the
                detector and trains both (:mod:`rsdet.enhance.joint`); ``freeze`` also takes ``"detector"`` and
                ``"enhancer"``.

        Returns:
            Ultralytics' metrics of the best checkpoint.

        Raises:
            RSDetError: Bad input.
            KeyboardInterrupt: After Ctrl-C, with the command that resumes.
        """
        if self.family in LAYERLESS:
            self._check_is_pytorch_model()
        restores = self.task == "restore"
        kwargs = with_cfg(kwargs)
        stated = {k: kwargs.pop(k, None) for k in ("data", "recipe")}
        data, recipe = stated["data"] if data is None else data, recipe or stated["recipe"]
        if not restores:
            kwargs = train_settings(self, kwargs)
        check_keys(kwargs, "train", self.task)
        self._check_task(kwargs)
        if restores and isinstance(self.model, Module):
            restore().check_trainable(self.model)
        resume = kwargs.get("resume")
        if resume:
            data, kwargs = self._resumed(resume, data, kwargs)
        elif data is None:
            raise ConfigError("train needs data=; pass a data YAML or a shipped dataset such as data=demo.")
        if not resume:
            name, settings = recipe_settings(self._yaml, recipe)
            if settings:
                LOGGER.info(f"recipe {name}: " + ", ".join(f"{k}={v}" for k, v in settings.items() if k not in kwargs))
            kwargs = {**settings, **kwargs}
            if self.family == "rtdetr":
                kwargs.setdefault("deterministic", False)  # grid_sample has no deterministic backward
            if not self.ckpt:  # from a YAML: seeded fresh weights of exactly this scale and these variables
                self.ckpt = {"model": None}
                if self.untrained and kwargs.get("pretrained") is True:
                    LOGGER.info(
                        f"pretrained=True: {self.model_name} brings no weights, training starts from random ones; "
                        "pretrained=weights.pt names some."
                    )
                if self.untrained and not isinstance(kwargs.get("pretrained"), (str, Path)):
                    kwargs["pretrained"] = False
            if isinstance(kwargs.get("pretrained"), (str, Path)):
                checkpoint.examine(kwargs["pretrained"])
            if restores:
                kwargs = restore().train_settings(kwargs)
        if data is not None:  # last of all checks: a dataset may have to be rendered or downloaded
            kwargs["data"] = self._resolved(data)
            if not resume and not restores:
                kwargs = {**sar_settings(kwargs), **kwargs}
        kwargs = kwargs if resume else _placed(kwargs, self.task)
        try:
            with silent_opencv(), full_disk(kwargs["save_dir" if resume else "project"]):
                return super().train(trainer=trainer, **kwargs)
        except KeyboardInterrupt as e:
            if self.trainer is None:
                raise
            raise KeyboardInterrupt(resume_line(self.trainer.save_dir)) from e  # ends a loop of trainings, too

    @user_errors()
    def tune(self, use_ray: bool = False, iterations: int = 10, *args: Any, data: Any = None, **kwargs: Any) -> Any:
        """Search for training settings of a detector; see :class:`rsdet.tasks.detect.tune.DetectTuner`.

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
        from rsdet.tasks.detect.tune import DetectTuner

        if use_ray or args:
            raise ConfigError("tune with Ray is not supported; leave use_ray= out, which searches without it.")
        if self.task == "restore":
            raise ConfigError("tune is for detectors, and this model restores pictures; use train.")
        self._check_is_pytorch_model()
        check_keys({k: v for k, v in kwargs.items() if k != "space"}, "train")
        if data is None:
            raise ConfigError("tune needs data=; pass a data YAML or a shipped dataset such as data=demo.")
        if not isinstance(iterations, int) or iterations < 1:
            raise ConfigError(f"iterations={iterations!r} must be a whole number of 1 or more.")
        settings = {"optimizer": "AdamW", "deterministic": self.family != "rtdetr"}
        settings.update(recipe_settings(self._yaml, kwargs.pop("recipe", None))[1])
        given = {**self.overrides, **settings, **kwargs, "data": self._resolved(data), "mode": "train"}
        return DetectTuner(args=_placed(given, self.task), model=self.model, _callbacks=self.callbacks)(iterations)

    def _check_is_pytorch_model(self) -> None:
        """Ultralytics asks this before everything that needs a network (save, load, fuse, export, ...)."""
        super()._check_is_pytorch_model()
        if self.family in LAYERLESS:
            name = self.model.yaml.get("method", self.family)
            raise ConfigError(
                f"{self.model_name}: {name} learns nothing and has no layers and no weights, so that there is "
                "nothing to train, export, benchmark or save; use predict, val or info."
            )

    def _resolved(self, data: str | Path) -> str:
        return str(tasks.get(self.task).resolve_data(data))

    def _check_task(self, kwargs: dict[str, Any]) -> None:
        if kwargs.get("task") not in (None, self.task):
            raise ConfigError(f"task={kwargs['task']!r}, but this is a model for task={self.task!r}; leave task= out.")

    def _resumed(self, resume: bool | str | Path, data: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Data and arguments of a training that goes on: of what its checkpoint names, only what is on this disk."""
        if isinstance(resume, (str, Path)):
            last, ckpt = Path(resume), checkpoint.examine(resume)
        elif not self.ckpt_path:
            raise ConfigError("resume=True goes on with an interrupted run; pass its last.pt as model=.")
        else:
            last, ckpt = Path(self.ckpt_path), self.ckpt
        if ckpt.get("optimizer") is None:
            raise CheckpointError(
                f"{last} is of a finished training, there is nothing to resume; leave resume= out to start a new one "
                "from it."
            )
        stored = ckpt.get("train_args") or {}
        checkpoint.check_arguments(stored, last)
        if data is None and (data := find_stored(stored.get("data"))) is None:
            raise DataError(f"{last} was trained on {stored.get('data')!r}, which is no data YAML here; pass data=.")
        teacher = kwargs.get("distill_model") or stored.get("distill_model")
        if teacher is not None and not Path(str(teacher)).is_file():
            raise CheckpointError(f"{last} learns from {teacher!r}, which is not here; pass distill_model=.")
        kwargs = {**kwargs, "resume": str(last)}
        if "save_dir" not in kwargs:
            kwargs["save_dir"] = str(resume_folder(last, _placed(kwargs, self.task), self.task))
        return data, kwargs

    @user_errors()
    def val(
        self,
        validator: type | None = None,
        *,
        data: Any = None,
        protocol: str | None = None,
        ignore_regions: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Measure accuracy on a dataset.

        Args:
            validator: A validator class instead of the task's own.
            data: Shipped dataset name or path of a data YAML; that of the training where not given.
            protocol: ``"ultralytics"``, ``"coco"``, ``"aitod"``, ``"visdrone"`` or, for oriented boxes, ``"dota"``; the
                task's own where None. The name stands beside the numbers.
            ignore_regions: Drop detections in the ignored regions of the data; as the protocol has it where None
                (``visdrone`` drops them, the others count them as false). The protocol's name then shows a change.
            **kwargs: Any validation argument of Ultralytics. ``rect`` is off unless asked for: weights get the square
                input that exported files get. ``enhance`` (see :func:`rsdet.enhance.loading.load_chain`) with ``tile``
                and ``overlap``: measure without and with it; ``without`` and ``enhance_gain`` are added to what is
                returned. ``bands``: those of the files to take, instead of the data YAML's or the model's.

        Returns:
            Ultralytics' metrics, with ``protocol_metrics``, ``group_metrics`` (group of the data YAML's ``groups:`` to
            its numbers under the protocol) and ``recall_ceiling`` added; for a model that restores pictures,
            :class:`rsdet.tasks.restore.quality.RestoreMetrics`.
        """
        wanted = {} if protocol is None else {"protocol": protocol}
        wanted |= {} if ignore_regions is None else {"ignore_regions": ignore_regions}
        kwargs = with_cfg(kwargs)
        stated = kwargs.pop("data", None)
        data = stated if data is None else data
        if self.task == "restore":
            check_keys({**kwargs, **wanted}, "val", self.task)
            self._check_task(kwargs)
            return restore().val(self, validator, data, _placed(kwargs, self.task))
        check_keys({**kwargs, **wanted}, "val")
        self._check_task(kwargs)
        measures = tasks.get(self.task)
        protocol = measures.protocol if protocol is None else protocol
        rule = rule_of(protocol, ignore_regions, measures.shape)
        chain = chain_for(self, kwargs)
        if chain is None:
            return self._val(validator, data, rule, None, kwargs)

        def measure(chain: Any, folder: Path | None) -> Any:
            return self._val(validator, data, rule, chain, {**kwargs, **({"save_dir": folder} if folder else {})})

        from rsdet.enhance.compare import val_both

        return val_both(chain, measure, rule.name if rule else protocol)

    def _val(self, validator: type | None, data: Any, rule: Any, chain: Any, kwargs: dict[str, Any]) -> Any:
        self.check_trained("val")  # before data are fetched
        kwargs = dict(kwargs)
        bands = check_bands(kwargs.pop("bands", None), self._channels or 3)
        if data is None and (data := self.overrides.get("data")) is None:
            raise ConfigError("val needs data=; pass a data YAML or a shipped dataset such as data=demo.")
        kwargs["data"] = self._resolved(data)
        kwargs.setdefault("max_det", max_det(rule, self._queries))
        kwargs.setdefault("rect", False)  # exported files have one size: weights are measured at the same
        chosen = validator or self._smart_load("validator")
        kept: list[Any] = []

        def make(**kw: Any) -> Any:
            kept.append(chosen(**kw, protocol=rule) if validator is None else chosen(**kw))
            kept[-1].channels, kept[-1].sar, kept[-1].chain = self._channels, self.sar, chain
            kept[-1].bands, kept[-1].own_bands = bands, self.bands
            return kept[-1]

        kwargs = _placed(kwargs, self.task)
        with silent_opencv(), plain_labels(), full_disk(kwargs["project"]):
            metrics = super().val(validator=make, **kwargs)
        metrics.protocol_metrics = getattr(kept[-1], "protocol_metrics", None)
        metrics.group_metrics = dict(getattr(metrics.protocol_metrics, "groups", {}))
        metrics.recall_ceiling = getattr(kept[-1], "ceiling", None)
        save_val(kept[-1])
        return metrics

    @user_errors()
    def track(self, *args: Any, **kwargs: Any) -> Any:
        """Follow objects through a video, as Ultralytics does; its trackers need the package ``lap``."""
        return super().track(*args, **kwargs)

    @user_errors()
    def predict(self, source: Any = None, stream: bool = False, predictor: type | None = None, **kwargs: Any) -> Any:
        """Detect objects in images, folders, globs, videos or lists of them.

        Args:
            source: What to look at. Files that cannot be used are left out and named in ``skipped``.
            stream: Return a generator, which holds one picture at a time.
            predictor: A predictor class instead of the task's own.
            **kwargs: Any prediction argument of Ultralytics; ``save_json=True`` and ``save_coco=True`` write
                ``predictions.json`` and ``predictions-coco.json`` beside the pictures. ``conf``, ``iou`` and
                ``max_det`` are those that an exported file holds unless given here; ``rect`` is off unless asked for,
                so that weights and exported files see the same; with it, oblong pictures take the YOLO family 1.2 to
                1.4 times less. ``enhance`` (see
                :func:`rsdet.enhance.loading.load_chain`) with ``tile`` and ``overlap``: detect in enhanced pictures;
                results keep the original ones, and boxes are in their pixels. ``save_enhanced=True`` writes the others.
                ``bands``: numbers of the bands of the files, counted from 1, in the order of the model's channels; of
                arrays with more channels than the model takes, those of their channels.

        Returns:
            One result per image.

        Raises:
            RSDetError: Bad input, or no image of the source can be used.
        """
        from rsdet.tasks.detect.thresholds import predict_settings

        kwargs = with_cfg(kwargs)
        check_keys(kwargs, "predict", self.task)
        self._check_task(kwargs)
        if self.task == "restore":
            return restore().predict(self, source, stream, predictor, _placed(kwargs, self.task))
        self.check_trained("predict")
        kwargs["chain"] = chain_for(self, kwargs)
        # Whatever the picture's form, weights see it as an exported file does: letterboxed to the full input size.
        kwargs = {"rect": False, **predict_settings(self._artifact, kwargs, self._queries)}
        results = self._predictions(source, predictor, **_placed(kwargs, self.task))
        return results if stream else list(results)

    def _predictions(
        self,
        source: Any,
        predictor: type | None,
        save_json: bool = False,
        save_coco: bool = False,
        chain: Any = None,
        save_enhanced: bool = False,
        bands: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        from rsdet.tasks.detect.outputs import Outputs
        from rsdet.tasks.detect.source import usable_source

        outputs, read = Outputs(save_json=save_json, save_coco=save_coco), set()
        with user_errors():
            reader = getattr(self.model, "reader", None) or reader_of(
                self.sar, self._channels or 3, self.bands if bands is None else bands
            )
        if bands is not None and reader.of_values:
            raise ConfigError(
                f"bands={bands} is for pictures, and this model takes SAR files of one band; leave it out."
            )
        with user_errors(), usable_source(source, reader) as usable:
            self.skipped = usable.skipped
            results = super().predict(usable.source, stream=True, predictor=predictor, **kwargs)
            if not hasattr(self.predictor, "reader") and (reader.of_values or reader.bands):
                raise ConfigError(
                    f"predictor={type(self.predictor).__name__} does not read files as the model was trained on them; "
                    "derive it from the predictor of rsdet.tasks.detect.predict."
                )
            self.predictor.reader = reader
            use_chain(self.predictor, chain, save_enhanced)
            try:
                for result in map(with_time, results):
                    if isinstance(result, Results):  # not so when embed= asks for features
                        if str(result.path) in getattr(self.predictor, "unread", ()):
                            continue
                        read.add(str(result.path))
                        outputs.add(result)
                    yield result
            finally:  # what was found before an interruption is kept
                if chain is not None:
                    self.predictor.say_time()
                if outputs.plain:
                    outputs.write(getattr(self.predictor, "make_folder", lambda: Path(self.predictor.save_dir))())
            if read or not kwargs.get("embed"):
                usable.check_read(read, getattr(self.predictor, "unread", None))

    @user_errors()
    def export(self, **kwargs: Any) -> Any:
        """Export, then check that the artifact finds the same boxes; see :func:`rsdet.deploy.export.export`.

        With ``enhance=``, into a folder of several files; see :func:`rsdet.enhance.export.export_chain`.
        """
        kwargs = dict(kwargs)
        if self.task == "detect" and (chain := chain_for(self, kwargs)) is not None:
            from rsdet.enhance.export import export_chain

            return export_chain(self, chain, kwargs)
        return self._export(**kwargs)

    def _export(self, **kwargs: Any) -> Any:
        from rsdet.deploy.export import export

        self._check_is_pytorch_model()
        self._say_untrained()
        return export(self, **kwargs)

    @user_errors()
    def benchmark(self, **kwargs: Any) -> Any:
        """Measure speed and accuracy of the same artifacts; see :func:`rsdet.deploy.benchmark.benchmark`."""
        from rsdet.deploy.benchmark import benchmark

        if self.family in LAYERLESS:
            self._check_is_pytorch_model()
        self._say_untrained()
        return benchmark(self, **fit(benchmark, kwargs, "benchmark", also=["model"]))

    @user_errors()
    def info(
        self, detailed: bool = False, verbose: bool = True, imgsz: int | Sequence[int] | None = None
    ) -> dict[str, Any]:
        """Parameters and FLOPs by both conventions.

        Args:
            detailed: Also per layer.
            verbose: Print the table.
            imgsz: Input size in pixels, one number or (height, width); 640 where None, 256 for restoring pictures.

        Returns:
            ``params``, ``gflops_legacy``, ``gflops_true`` and, when detailed, ``layers``. For a method without layers
            the operations are None: they depend on the image.
        """
        from rsdet.deploy.complexity import complexity

        if self.task == "restore" and (told := restore().info(self, verbose)) is not None:
            return told
        if self.family in LAYERLESS:
            if verbose:
                LOGGER.info(self.model.describe())
            return {"params": 0, "gflops_legacy": None, "gflops_true": None}  # operations depend on the image
        self._check_is_pytorch_model()
        ch = self.model.yaml.get("channels", 3)
        found = complexity(self.model, imgsz=imgsz or (256 if self.task == "restore" else 640), ch=ch)
        if verbose:
            LOGGER.info(found.table(detailed=detailed))
        out = {"params": found.params, "gflops_legacy": found.gflops_legacy, "gflops_true": found.gflops_true}
        return {**out, "layers": found.layers} if detailed else out


def _versions(network: Module) -> tuple[int, ...]:
    """What PyTorch counts up whenever a weight is written to, for each weight."""
    return tuple(p._version for p in network.parameters() if p.numel() and not p.is_inference())


def restore() -> Any:
    """What the methods above do for a model that restores pictures; imported on use."""
    from rsdet.tasks.restore import api

    return api


def _placed(kwargs: dict[str, Any], task: str) -> dict[str, Any]:
    """Results go below the folder the command is run in, wherever Ultralytics' settings point to."""
    project = Path(kwargs.get("project") or Path("runs") / task).expanduser()
    return {**kwargs, "project": str(project.absolute())}
