"""What a function takes, checked before it is called: unknown keys, values of a wrong type, one value for a list.

The signature is the only source, so a new parameter needs no second entry anywhere. Types that a word on the command
line cannot have (arrays, functions) are left to the function.
"""

from __future__ import annotations

import inspect
import logging
import math
import numbers
import os
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from rsdet.errors import ConfigError, nearest
from rsdet.quiet import say
from rsdet.textfiles import read_yaml
from rsdet.usererrors import user_errors

_SAID = {bool: "True or False", int: "a whole number", float: "a number", str: "text", type(None): "none"}
_POSITIVE = {"batch", "epochs", "imgsz", "rounds", "threads"}


def fit(
    function: Callable[..., Any], args: Mapping[str, Any], mode: str, *, also: Sequence[str] = ()
) -> dict[str, Any]:
    """Make sure that a function can be called with these arguments.

    Args:
        function: What will be called; parameters before its first optional or keyword-only one that are missing in
            ``args`` are an error.
        args: Arguments by name.
        mode: What the user called it, for the message.
        also: Names to leave alone, such as a model that is passed by position.

    Returns:
        The arguments; a single value is put into a list where only a list is taken.

    Raises:
        ConfigError: An unknown or a missing key, or a value of the wrong type.
    """
    takes = {k: p for k, p in inspect.signature(function, eval_str=True).parameters.items() if k not in also}
    known = [k for k, p in takes.items() if p.kind is not p.VAR_KEYWORD]
    open_ended = len(known) < len(takes)
    for key, p in takes.items():
        if p.default is p.empty and key in known and key not in args:
            raise ConfigError(f"{mode} needs {key}=; see `rsdet --help`.")
    out = {}
    for key, value in args.items():
        if key in known:
            out[key] = _value(key, value, takes[key].annotation)
        elif open_ended and key not in also:
            out[key] = value
        else:
            raise ConfigError(f"{mode} does not know {key}=.{nearest(key, known)} It takes {', '.join(sorted(known))}.")
    return out


def _value(key: str, value: Any, hint: Any) -> Any:
    if not _accepts(hint, value):
        if any(_accepts(_element(h), value) for h in _options(hint) if _element(h) is not None):
            value = [value]
        else:
            said = list(dict.fromkeys(w for h in _options(hint) for w in _words(h)))
            raise ConfigError(f"{key}={value!r} must be {' or '.join(said)}; see `rsdet --help`.")
    each = value if isinstance(value, (list, tuple)) else [value]
    if key in _POSITIVE and any(isinstance(n, numbers.Real) and n < 1 for n in each):
        raise ConfigError(f"{key}={value!r} must be 1 or more; see `rsdet --help`.")
    return value


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _element(hint: Any) -> Any:
    """Type of the elements where the hint is a sequence, else None."""
    return get_args(hint)[0] if get_origin(hint) is Sequence else None


def _words(hint: Any) -> list[str]:
    if _element(hint) is not None:
        return [f"a list of {w.removeprefix('a ')}s" for w in _words(_element(hint))] if hint else []
    return [w for h in _options(hint) for w in ([_SAID[h]] if h in _SAID else ["a path"] if h is Path else [])]


def _accepts(hint: Any, value: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_accepts(h, value) for h in get_args(hint))
    if _element(hint) is not None:
        return isinstance(value, (list, tuple)) and all(_accepts(_element(hint), v) for v in value)
    if hint is Path:
        return isinstance(value, os.PathLike)
    if hint is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool)
    return isinstance(value, hint) if hint in _SAID else not isinstance(value, tuple(_SAID)) or hint is Any


TRAIN_DEFAULTS: dict[str, Any] = {
    "iou_loss": None, "speckle": 0.0, "rot90": 0.0, "enhance": None, "freeze_enhancer": False,
}  # fmt: skip
"""Training arguments of ours that travel with Ultralytics' own: into args.yaml, checkpoints and child processes.

``iou_loss``: box loss (:data:`rsdet.losses.boxes.BOX_LOSSES`), the model's own where None. ``speckle``: looks of the
multiplicative noise put on training images, 0 for none. ``rot90``: probability of a rotation by 90, 180 or 270 degrees.
``enhance``: networks of the task ``restore`` to put before the detector and to train with it; ``freeze_enhancer``:
leave them as they are.
"""

RESTORE_DEFAULTS: dict[str, Any] = {
    "patch": None, "target_patch": None, "repeats": 1, "val_period": 1, "loss": None, "beta2": 0.999,
    "ema_decay": None, "clip_grad": 10.0, "lr_steps": None,
}  # fmt: skip
"""The same for the task ``restore``.

``patch``: side of the training patches in pixels of the input, 128 where None; ``target_patch``: the same in pixels of
the target, where ``patch`` is None. ``repeats``: patches of each picture in an epoch. ``val_period``: epochs from one
validation to the next. ``loss``: terms and weights instead of the model's. ``beta2``: second moment of Adam and its
kin. ``ema_decay``: of the averaged weights that are validated and kept, 0 for none, Ultralytics' ramp to 0.9999 where
None. ``clip_grad``: largest norm of the gradients, 0 for any. ``lr_steps``: parts of the training, 0 to 1, after each
of which the learning rate is halved; instead of ``lrf`` and ``cos_lr``.
"""

_OURS = {
    "train": {"data", "recipe", "model", "scale", *TRAIN_DEFAULTS},
    "val": {"data", "protocol", "ignore_regions", "model", "enhance", "tile", "overlap", "bands"},
    "predict": {"source", "save_json", "save_coco", "model", "enhance", "tile", "overlap", "save_enhanced", "bands"},
}

_OURS_RESTORE = {
    "train": {"data", "recipe", "model", *RESTORE_DEFAULTS},
    "val": {"data", "model", "metrics", "niqe", "tile", "overlap"},
    "predict": {"source", "model", "tile", "overlap", "bands", "value_range", "save_routes"},
}
# Keys of Ultralytics that mean nothing to a model that restores pictures; accepted in silence, they would mislead.
_DETECTORS_ONLY = {
    "agnostic_nms", "augment", "augmentations", "auto_augment", "bgr", "box", "classes", "close_mosaic", "cls",
    "cls_pw", "conf", "copy_paste", "copy_paste_mode", "cutmix", "degrees", "dfl", "dropout", "embed", "end2end",
    "enhance", "erasing", "fliplr", "flipud", "freeze_enhancer", "hsv_h", "hsv_s", "hsv_v", "ignore_regions", "imgsz",
    "iou", "iou_loss", "kobj", "line_width", "max_det", "mixup", "mosaic", "multi_scale", "nms", "overlap_mask",
    "perspective", "pose", "protocol", "rect", "retina_masks", "rot90", "save_coco", "save_conf", "save_crop",
    "save_enhanced", "save_json", "save_txt", "scale", "shear", "show_boxes", "show_conf", "show_labels",
    "single_cls", "speckle", "tracker", "translate", "visualize",
}  # fmt: skip


# Keys of Ultralytics that something comes of. It takes all of them in every mode; those left over are named.
_EVERY_RUN = {"model", "task", "mode", "cfg", "project", "name", "exist_ok", "verbose", "device", "quantize", "seed"}
_DETECTING = {
    "imgsz", "batch", "conf", "iou", "max_det", "classes", "agnostic_nms", "augment", "rect", "dnn", "nms", "compile",
    "channels_last", "visualize", "save_txt", "save_conf", "show_conf", "show_labels",
}  # fmt: skip
_EFFECTIVE = {
    ("detect", "predict"): _EVERY_RUN | _DETECTING | {
        "source", "save", "save_frames", "save_crop", "show", "show_boxes", "line_width", "embed", "vid_stride",
        "stream_buffer",
    },
    ("detect", "val"): _EVERY_RUN | _DETECTING | {
        "data", "split", "plots", "save_json", "single_cls", "workers", "cache", "fraction", "deterministic",
    },
    ("restore", "predict"): _EVERY_RUN | {"source", "save"},
    ("restore", "val"): _EVERY_RUN | {"data", "split", "plots"},
}  # fmt: skip
_NOT_IN_TRAINING = {
    "source", "vid_stride", "stream_buffer", "embed", "show", "save_frames", "save_crop", "show_boxes", "line_width",
    "retina_masks", "tracker", "format", "optimize", "dynamic", "simplify", "opset", "workspace", "dnn", "mask_ratio",
    "overlap_mask", "pose", "kobj", "rle", "angle", "dlog", "dgrad", "dlam",
}  # fmt: skip


def without_effect(kwargs: Mapping[str, Any], mode: str, task: str = "detect") -> list[str]:
    """Keys of Ultralytics of which nothing comes in a mode, and whose values say more than what is usual.

    Args:
        kwargs: Arguments of Ultralytics.
        mode: ``train``, ``val`` or ``predict``.
        task: ``detect`` or ``restore``.
    """
    from ultralytics.utils import DEFAULT_CFG_DICT

    used = _EFFECTIVE.get((task, mode), DEFAULT_CFG_DICT.keys() - _NOT_IN_TRAINING)
    used = used | {*(_OURS_RESTORE if task == "restore" else _OURS)[mode]}
    if mode == "val" and not isinstance(kwargs.get("fraction"), (list, tuple)):
        used = used - {"fraction"}  # a number is a part of the training images, a list has one for each split
    used = used | ({"tracker"} if kwargs.get("mode") == "track" else set())
    return [k for k, v in kwargs.items() if k in DEFAULT_CFG_DICT and k not in used and v != DEFAULT_CFG_DICT[k]]


_NOT_OF_CFG = ("cfg", "mode", "model", "task")  # known already when a file of arguments is read


def with_cfg(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with those of the YAML that ``cfg=`` names below them, so that both go through the same checks.

    Raises:
        ConfigError: The file is no YAML.
    """
    own = {k: v for k, v in kwargs.items() if k != "cfg"}
    if kwargs.get("cfg") is None:
        return own
    return {k: v for k, v in read_yaml(str(kwargs["cfg"])).items() if k not in _NOT_OF_CFG} | own


def check_tracker(tracker: Any) -> None:
    """Make sure that the YAML of a tracker, where it is the user's, names no model that would have to be fetched.

    Raises:
        ConfigError: It does, or it is no YAML.
    """
    if tracker is None or (Path(str(tracker)).name == str(tracker) and not Path(str(tracker)).exists()):
        return  # one of Ultralytics'
    model = read_yaml(str(tracker)).get("model", "auto")
    if model not in ("auto", None) and not Path(str(model)).is_file():
        raise ConfigError(f"{tracker}: model: {str(model)[:80]!r} is no file here, and is not fetched; name a file.")


def check_keys(kwargs: Mapping[str, Any], mode: str, task: str = "detect") -> None:
    """Check what is handed on to Ultralytics, before anything is loaded or written; name what has no effect.

    Args:
        kwargs: Arguments of Ultralytics.
        mode: ``train``, ``val`` or ``predict``.
        task: ``detect`` or ``restore``.

    Raises:
        ConfigError: A key that neither Ultralytics nor rsdet knows, or a value out of its range.
    """
    from ultralytics.cfg import check_cfg
    from ultralytics.utils import DEFAULT_CFG_DICT

    ours = (_OURS_RESTORE if task == "restore" else _OURS)[mode]
    known = {*DEFAULT_CFG_DICT, "augmentations", "save_dir", "mode", "cfg", "half", *ours}
    special = {"recipe", "protocol", "ignore_regions", *TRAIN_DEFAULTS, *RESTORE_DEFAULTS}
    for key in kwargs:
        if task == "restore" and key in _DETECTORS_ONLY:
            remedy = "leave it out" if key != "imgsz" else f"use {'patch' if mode == 'train' else 'tile'}="
            raise ConfigError(f"{key}= is for detectors, and this model restores pictures; {remedy}.")
        if key == "bands" and key not in ours:
            raise ConfigError(f"bands= of {mode} stands in the data YAML, as bands: [1, 2, 3].")
        if key not in known or (key in special and key not in ours):
            hint = nearest(key, known - {key})
            raise ConfigError(f"unknown argument {key!r} of {mode}.{hint} See `rsdet --help`.")
    with user_errors():
        check_cfg({k: v for k, v in kwargs.items() if k not in {*TRAIN_DEFAULTS, *RESTORE_DEFAULTS}})
    if unused := without_effect(kwargs, mode, task):
        them = "it" if len(unused) == 1 else "them"
        say(f"{', '.join(f'{k}=' for k in unused)}: {mode} makes no use of {them}; leave {them} out.", logging.WARNING)
    sizes = kwargs.get("imgsz", 640)
    each = list(sizes) if isinstance(sizes, (list, tuple)) else [sizes]
    if not 1 <= len(each) <= 2 or not all(_accepts(int, n) and n > 0 for n in each):
        raise ConfigError(f"imgsz={sizes!r} must be a positive whole number, or height and width; e.g. imgsz=640.")
    batch = kwargs.get("batch", 1)
    if not (_accepts(int, batch) and batch > 0) and not (mode == "train" and (batch == -1 or 0 < batch < 1)):
        raise ConfigError(f"batch={batch!r} must be a whole number of 1 or more; e.g. batch=8.")
    if kwargs.get("workers", 0) < 0:
        raise ConfigError(f"workers={kwargs['workers']} must be 0 or more; leave it out if in doubt.")
    if not isinstance(kwargs.get("ignore_regions", False), bool):
        raise ConfigError(f"ignore_regions={kwargs['ignore_regions']!r} must be True or False.")
    for key, what in (("classes", "class numbers"), ("freeze", "layer numbers")):
        value = kwargs.get(key)
        each = value if isinstance(value, (list, tuple)) else [value]
        if value is not None and not all(_accepts(int, n) and n >= 0 for n in each):
            raise ConfigError(f"{key}={value!r} must be {what}, counted from 0; e.g. {key}=0,2.")
    check_train_values(kwargs)
    check_restore_values(kwargs)
    check_tracker(kwargs.get("tracker"))
    if isinstance(kwargs.get("augmentations"), (str, int, float)):
        raise ConfigError("augmentations= takes a list of Albumentations transforms, in Python only; leave it out.")


def check_train_values(kwargs: Mapping[str, Any]) -> None:
    """Check the values of :data:`TRAIN_DEFAULTS`.

    Raises:
        ConfigError: A value out of its range.
    """
    from rsdet.losses.boxes import check_box_loss

    if kwargs.get("iou_loss") is not None:
        check_box_loss(kwargs["iou_loss"])
    if not isinstance(kwargs.get("freeze_enhancer", False), bool):
        raise ConfigError(f"freeze_enhancer={kwargs['freeze_enhancer']!r} must be True or False.")
    speckle, rot90 = kwargs.get("speckle", 0.0), kwargs.get("rot90", 0.0)
    if not _accepts(float, speckle) or not 0 <= speckle < math.inf:
        raise ConfigError(f"speckle={speckle!r} must be a number of looks, 0 for no speckle; e.g. speckle=8.")
    if not _accepts(float, rot90) or not 0 <= rot90 <= 1:
        raise ConfigError(f"rot90={rot90!r} must be a probability from 0 to 1; e.g. rot90=0.5.")


def check_restore_values(kwargs: Mapping[str, Any]) -> None:
    """Check the values of :data:`RESTORE_DEFAULTS`.

    Raises:
        ConfigError: A value out of its range.
    """
    for key, example in (("patch", 128), ("target_patch", 256), ("repeats", 8), ("val_period", 5)):
        value = kwargs.get(key, 1)
        if not (_accepts(int, value) and value > 0) and not (key.endswith("patch") and value is None):
            raise ConfigError(f"{key}={value!r} must be a whole number of 1 or more; e.g. {key}={example}.")
    for key, top in (("beta2", 1.0), ("ema_decay", 1.0), ("clip_grad", math.inf)):
        value = kwargs.get(key, 0.0)
        if not (_accepts(float, value) and 0 <= value < top) and not (key == "ema_decay" and value is None):
            raise ConfigError(f"{key}={value!r} must be a number from 0 to below {top:g}; e.g. {key}=0.9.")
    steps = kwargs.get("lr_steps") or []
    each = list(steps) if isinstance(steps, (list, tuple)) else [steps]
    if not all(_accepts(float, v) and 0 < v < 1 for v in each):
        raise ConfigError(f"lr_steps={steps!r} must be parts of the training between 0 and 1; e.g. lr_steps=0.5,0.9.")


def loss_terms(value: Any) -> dict[str, float] | None:
    """Terms of a loss by name, from what a user may write: ``l1``, ``l1:1,fft:0.1`` or a mapping.

    Raises:
        ConfigError: Neither.
    """
    if value is None:
        return None
    terms: dict[str, Any] = dict(value) if isinstance(value, Mapping) else {}
    for part in [] if terms else value if isinstance(value, (list, tuple)) else str(value).split(","):
        name, _, weight = str(part).partition(":")
        terms[name.strip()] = weight.strip() or 1.0
    try:
        return {str(k): float(v) for k, v in terms.items()}
    except (TypeError, ValueError) as e:
        raise ConfigError(f"loss={value!r} must be terms with weights, such as loss=l1:1,fft:0.1.") from e
