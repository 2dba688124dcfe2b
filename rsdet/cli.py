"""``rsdet MODE key=value …``: turns words into one call of :class:`rsdet.RSDet`. No work of its own.

Help and errors about the words themselves need no torch: heavy modules are imported only once a mode runs.
"""

from __future__ import annotations

import ast
import contextlib
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rsdet._version import __version__
from rsdet.arguments import fit
from rsdet.errors import ConfigError, RSDetError, nearest
from rsdet.names import printable
from rsdet.usererrors import user_errors

HELP = f"""rsdet {__version__}: remote sensing on top of Ultralytics

usage: rsdet MODE key=value ... [--debug]

  train      rsdet train model=vmc-detr.yaml data=visdrone.yaml epochs=150
             rsdet train model=sar-ship.yaml data=hrsid.yaml
             rsdet train model=dwtma-net.yaml data=haze1k-thin patch=240
  val        rsdet val model=best.pt data=visdrone.yaml protocol=visdrone
  predict    rsdet predict model=best.pt source=images/ save_coco=True
             rsdet predict model=cfar source=sar/
             rsdet predict model=best.pt enhance=dwtma-net.pt source=hazy/
             rsdet predict model=dcp source=hazy/        (pictures restored, at the depth they have)
             rsdet predict model=hac-moe source=ceres/ scale=4 time_limit=600
  export     rsdet export model=best.pt format=onnx
  benchmark  rsdet benchmark model=best.pt formats=pytorch,onnx data=visdrone.yaml out=speed
             rsdet benchmark suite=speed          (also paper-vmc, paper-sar)
  compare    rsdet compare a.json b.json          (two benchmark runs, with the spread)
  info       rsdet info model=vmc-detr.yaml scale=n detailed=True
  convert    rsdet convert source=VisDrone2019/ format=visdrone out=visdrone-yolo
             rsdet convert source=pictures/ format=yolo out=my-yolo val_fraction=0.2
  demo       rsdet demo
  list       rsdet list [models|datasets|modules|recipes|protocols]

keys of Ultralytics (epochs, imgsz, batch, device, conf, ...) work as they do there. Ours:

  model=     model YAML (shipped name or path), .pt or .safetensors weights, or an exported file
  data=      dataset YAML (shipped name or path); demo, demo-sar and demo-haze are scenes rendered on the spot
  scale=     size of a model YAML: n, s, m, l or x; a number: how much a model of super-resolution enlarges
  attention= put ShuffleAttention, SE, CBAM, ECA, CoordAttention or SimAM behind the deepest level of a model YAML
  head=      SSCDetect (context-decoupled) or Detect (simple decoupled) as head of a YOLO model YAML
  iou_loss=  box loss of a training: ciou, diou, giou, iou, nwd, siou, wiou-v1, wiou-v2 or wiou-v3
  speckle=   looks of the multiplicative noise put on training images, 0 for none
  rot90=     probability of a turn by 90, 180 or 270 degrees in training
  nq=        number of queries of an RT-DETR family model: the most objects one image can yield
  decoder_layers=  of weights of that family: run fewer at inference; faster, less exact
  recipe=    named training settings: paper, none, or a file in cfg/recipes
  protocol=  how val counts: ultralytics, coco, aitod or visdrone; ignore_regions=True or False: whether detections
             in ignored regions are dropped (visdrone does, coco and aitod do not)
  format=    of an export: onnx, openvino, torchscript or engine; half=True, int8=True (needs data=),
             dynamic=True or batch, nms=True (suppression inside), debug=layers (where a graph departs)
  max_drop=  points of AP that an export with data= may cost: 0.1, with int8 1, unless given
  source=    image, folder, glob, several of them with commas between, list of them in a .txt or .csv file, video,
             stream or camera number
  bands=     bands of a file to take in predict and val, counted from 1, in the order of the model's channels: [1,2,3]
  units=db quantity=intensity   of model=cfar: the files hold decibels, powers (else linear amplitudes)
  save_json= save_coco=   predict writes its detections as JSON, as COCO
  enhance=   models that restore pictures before a detector sees them, in order: a.pt, dcp.yaml or [a.pt,b.onnx].
             predict: boxes stay in pixels of the source, save_enhanced=True writes what was seen; val: AP without
             and with; benchmark: time part by part; export: a folder with chain.json, which predict model= runs;
             train: networks learn from the detector's loss (freeze=detector or freeze=enhancer: the other only)
  of models that restore pictures:
  patch=     side of the training patches in pixels of the input; repeats= of each picture in an epoch
  target_patch=  the same in pixels of the output; val_period= epochs from one validation to the next
  loss=      terms and weights, l1:1,fft:0.1; beta2= of Adam; ema_decay= of the averaged weights, 0 for none
  clip_grad= largest norm of the gradients, 0 for any; lr_steps=0.5,0.9 parts of the training after which lr halves
  metrics=   psnr and ssim, and what else val measures: niqe (niqe=FILE.npz for its model), lpips
  tile=      side of the tiles that large pictures are cut into, 0 for none; overlap= what neighbours share
  value_range=  file values that are black and white, where files do not have 8 or 16 bits
  any name under vars: in the model YAML, such as kernels=[7,9,11,13]

--debug shows the traceback of an error; --version, --help.
"""

_WORDS = {"true": True, "false": False, "none": None, "null": None}
# Never numbers: name=007, name=2024_01, project=1e5.
_TEXT = {"model", "data", "source", "project", "name", "out", "a", "b", "weights"}


def parse_value(text: str, key: str = "") -> Any:
    """Turn the right-hand side of ``key=value`` into a Python value.

    Numbers, ``true``, ``false``, ``none`` and Python literals are read as such, ``a,b`` and ``[a,b]`` become lists; all
    else is text, and so are paths and the values of the keys that name things.
    """
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if key in _TEXT and not text.startswith("["):
        return text
    if "_" not in text or text.startswith(("[", "(", "{", "'", '"')):  # Python reads 2024_01 as a number
        with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of things that only look like Python, such as 1if
            value = ast.literal_eval(text.strip())
            if isinstance(value, (bool, int, float, str, list, dict, tuple)):
                return list(value) if isinstance(value, tuple) else value
    if text.startswith("[") and text.endswith("]"):
        return [parse_value(t.strip()) for t in text[1:-1].split(",") if t.strip()]
    if "," in text and not text.startswith(("[", "(", "{")) and "/" not in text and "\\" not in text:
        return [parse_value(t) for t in text.split(",") if t]
    return text


def parse_words(words: list[str]) -> dict[str, Any]:
    """Turn ``key=value`` words into a dictionary.

    Raises:
        ConfigError: A word without ``=``, an empty key or value, or a key given twice.
    """
    out: dict[str, Any] = {}
    for word in words:
        key, eq, value = word.partition("=")
        key = key.lstrip("-")
        if not eq or not key.isidentifier():
            raise ConfigError(f"arguments must be written key=value, received {word!r}; see `rsdet --help`.")
        if any("\ud800" <= c <= "\udfff" for c in value):  # bytes that are no text; OpenCV crashes on them
            raise ConfigError(f"{key}= holds a name that is not UTF-8, {value!r}; rename the file or folder.")
        if not value.strip():
            raise ConfigError(f"{key}= has no value; write one after the sign (none for nothing), or leave {key}= out.")
        if key in out:
            raise ConfigError(f"{key}= is given twice; keep one of them.")
        out[key] = parse_value(value, key)
    return out


def _say(text: str) -> None:
    print(printable(text, keep="\n"))


def _model(args: dict[str, Any], mode: str) -> Any:
    from rsdet.model import RSDet
    from rsdet.modelyaml import YAML_SUFFIXES, find_model_yaml, read_model_yaml, variable_names

    name = args.pop("model", None)
    if not isinstance(name, str):
        raise ConfigError(f"{mode} needs model=; pass one model YAML such as vmc-detr.yaml, or weights.")
    model_vars: dict[str, Any] = {}
    # `scale` is also an augmentation of Ultralytics (a number); a letter is the size of the model.
    scale = args.pop("scale") if isinstance(args.get("scale"), str) else None
    path = find_model_yaml(name) or Path(name)  # else one of Ultralytics'
    if path.suffix in YAML_SUFFIXES:
        d = read_model_yaml(name)
        if d.get("task") == "restore" and "scale" in args:
            scale = args.pop("scale")  # a number: how much it enlarges
        names = {*variable_names(d), "attention", "head"} | ({"recipe"} if d.get("family") == "per-image" else set())
        model_vars = {k: args.pop(k) for k in list(args) if k in names}
    else:
        model_vars = {k: args.pop(k) for k in ("nq", "decoder_layers", "upscale") if k in args}
    return RSDet(name, scale=scale, **model_vars)


def _train(args: dict[str, Any]) -> None:
    model = _model(args, "train")
    if args.get("recipe", "") is None:  # recipe=none asks for no recipe, and not for that of the model
        args["recipe"] = "none"
    model.train(**args)
    _say(f"Results saved to {model.trainer.save_dir}")


def _val(args: dict[str, Any]) -> None:
    model = _model(args, "val")
    metrics = model.val(**args)
    _say(f"Results saved to {metrics.save_dir}")


def _predict(args: dict[str, Any]) -> None:
    from rsdet.errors import DataError
    from rsdet.runtime.light import predict as predict_exported

    done = predict_exported(args)  # without PyTorch and Ultralytics, where an exported file shall look at images
    images, objects, save_dir, skipped = _predict_fully(args) if done is None else done
    pictures = f"{images} picture{'s' * (images != 1)} restored."
    found = pictures if objects is None else f"{objects} objects in {images} images."
    _say(f"{found} Results saved to {save_dir}")
    if skipped:
        more = f"; and {len(skipped) - 3} more, named above" if len(skipped) > 3 else ""
        raise DataError(f"{len(skipped)} left out, all others are done: {'; '.join(skipped[:3])}{more}.")


def _predict_fully(args: dict[str, Any]) -> tuple[int, int | None, Path, list[str]]:
    model = _model(args, "predict")
    args.setdefault("save", True)
    for key in {"stream", "embed", "predictor"} & set(args):
        raise ConfigError(f"{key}= is for Python (RSDet.predict); leave it out here.")
    images = objects = 0
    restores = model.task == "restore"
    for result in model.predict(**args, stream=True):
        images, objects = images + 1, objects + (0 if restores else len(result))
    return images, None if restores else objects, model.predictor.save_dir, model.skipped


def _export(args: dict[str, Any]) -> None:
    result = _model(args, "export").export(**args)
    _say(f"Exported to {result.path}")


def _benchmark(args: dict[str, Any]) -> None:
    if "suite" in args:
        if "model" in args:
            raise ConfigError("suite= brings its own models; leave model= out.")
        from rsdet.deploy.suites import run_suite

        run_suite(**fit(run_suite, args, "benchmark"))
        return
    _model(args, "benchmark").benchmark(**args)


def _compare(args: dict[str, Any]) -> None:
    from rsdet.deploy.compare import compare

    compare(**fit(compare, args, "compare"))


def _info(args: dict[str, Any]) -> None:
    model = _model(args, "info")
    model.info(**fit(model.info, args, "info", also=["verbose"]))


def _convert(args: dict[str, Any]) -> None:
    from rsdet.data.convert import convert
    from rsdet.data.importers import IMPORTERS

    if "source" in args and "format" not in args:
        raise ConfigError(f"convert needs format=, the one of source=: {', '.join(IMPORTERS)}.")
    report = convert(**fit(convert, args, "convert", also=["extra"]))
    _say(report.summary())


def _demo(args: dict[str, Any]) -> None:
    from rsdet.demo import run_demo

    run_demo(**fit(run_demo, args, "demo"))


def _list(args: dict[str, Any]) -> None:
    from rsdet.listing import print_list

    print_list(**fit(print_list, args, "list"))


MODES: dict[str, Callable[[dict[str, Any]], None]] = {
    "train": _train,
    "val": _val,
    "predict": _predict,
    "export": _export,
    "benchmark": _benchmark,
    "compare": _compare,
    "info": _info,
    "convert": _convert,
    "demo": _demo,
    "list": _list,
}


def run(argv: list[str]) -> int:
    """Run one command; returns the exit status (0 done, 2 the input must be mended)."""
    words = [w for w in argv if w != "--debug"]
    if not words or words[0] in {"-h", "--help", "help"}:
        print(HELP)
        return 0
    if words[0] in {"-V", "--version", "version"}:
        print(__version__)
        return 0
    mode, rest = words[0], words[1:]
    if any(w in {"-h", "--help"} for w in rest):
        print(HELP)
        return 0
    try:
        if mode not in MODES:
            raise ConfigError(f"unknown mode {mode!r}.{nearest(mode, MODES)} Modes: {', '.join(MODES)}.")
        if mode == "list" and rest and "=" not in rest[0]:
            rest = [f"what={rest[0]}", *rest[1:]]
        if mode == "compare":
            files = [w for w in rest if "=" not in w]
            if len(files) > 2:
                raise ConfigError(f"compare takes two files, received {len(files)}: rsdet compare a.json b.json.")
            rest = [*(f"{k}={w}" for k, w in zip("ab", files, strict=False)), *(w for w in rest if "=" in w)]
        with user_errors():
            MODES[mode](parse_words(rest))
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
