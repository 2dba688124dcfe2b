"""``rsdet MODE key=value …``: turns words into one call of :class:`rsdet.RSDet`. No work of its own.

Help and errors about the words themselves need no torch: heavy modules are imported only once a mode runs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from typing import Any

from rsdet._version import __version__
from rsdet.errors import ConfigError, RSDetError, nearest

HELP = f"""rsdet {__version__}: remote sensing on top of Ultralytics

usage: rsdet MODE key=value ... [--debug]

  train      rsdet train model=vmc-detr.yaml data=visdrone.yaml epochs=150
  val        rsdet val model=best.pt data=visdrone.yaml protocol=visdrone
  predict    rsdet predict model=best.pt source=images/ save_coco=True
  export     rsdet export model=best.pt format=onnx
  benchmark  rsdet benchmark model=best.pt formats=pytorch,onnx data=visdrone.yaml
  info       rsdet info model=vmc-detr.yaml scale=n detailed=True
  convert    rsdet convert source=VisDrone2019/ format=visdrone out=visdrone-yolo
  demo       rsdet demo
  list       rsdet list [models|datasets|modules|recipes|protocols]

keys of Ultralytics (epochs, imgsz, batch, device, conf, ...) work as they do there. Ours:

  model=     model YAML (shipped name or path), .pt or .safetensors weights, or an exported file
  data=      dataset YAML (shipped name or path), or demo: scenes rendered on the spot
  scale=     size of a model YAML: n, s, m, l or x
  nq=        number of queries of an RT-DETR family model: the most objects one image can yield
  recipe=    named training settings: paper, none, or a file in cfg/recipes
  protocol=  how val counts: ultralytics, coco, aitod or visdrone
  save_json= save_coco=   predict writes its detections as JSON, as COCO
  any name under vars: in the model YAML, such as kernels=[7,9,11,13]

--debug shows the traceback of an error; --version, --help.
"""

_WORDS = {"true": True, "false": False, "none": None}


def parse_value(text: str) -> Any:
    """Turn the right-hand side of ``key=value`` into a Python value; ``a,b`` becomes a list."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        if "," in text and not text.startswith(("[", "(", "{")) and "/" not in text:
            return [parse_value(t) for t in text.split(",") if t]
        return text


def parse_words(words: list[str]) -> dict[str, Any]:
    """Turn ``key=value`` words into a dictionary.

    Raises:
        ConfigError: A word without ``=``, an empty key, or a key given twice.
    """
    out: dict[str, Any] = {}
    for word in words:
        key, eq, value = word.partition("=")
        key = key.lstrip("-")
        if not eq or not key.isidentifier():
            raise ConfigError(f"arguments must be written key=value, received {word!r}; see `rsdet --help`.")
        if key in out:
            raise ConfigError(f"{key}= is given twice; keep one of them.")
        out[key] = parse_value(value)
    return out


def _model(args: dict[str, Any], mode: str) -> Any:
    from rsdet.model import RSDet
    from rsdet.modelyaml import find_model_yaml, read_yaml

    name = args.pop("model", None)
    if name is None:
        raise ConfigError(f"{mode} needs model=; pass a model YAML such as vmc-detr.yaml, or weights.")
    model_vars: dict[str, Any] = {}
    scale = None
    path = find_model_yaml(name)
    if path is not None:
        d = read_yaml(path) if path.suffix in {".yaml", ".yml"} else {}
        scales = d.get("scales") or {}
        # `scale` is also an augmentation of Ultralytics (a number); a letter is the size of the model.
        if isinstance(args.get("scale"), str):
            scale = args.pop("scale")
        names = set(d.get("vars") or {})
        for values in scales.values():
            names |= set(values) if isinstance(values, dict) else set()
        model_vars = {k: args.pop(k) for k in list(args) if k in names}
    elif "nq" in args:
        model_vars["nq"] = args.pop("nq")
    return RSDet(str(name), scale=scale, **model_vars)


def _train(args: dict[str, Any]) -> None:
    model = _model(args, "train")
    model.train(**args)
    print(f"Results saved to {model.trainer.save_dir}")


def _val(args: dict[str, Any]) -> None:
    model = _model(args, "val")
    metrics = model.val(**args)
    print(f"Results saved to {metrics.save_dir}")


def _predict(args: dict[str, Any]) -> None:
    from rsdet.errors import DataError

    model = _model(args, "predict")
    args.setdefault("save", True)
    results = model.predict(**args)
    print(
        f"{sum(len(r) for r in results)} objects in {len(results)} images. Results saved to {model.predictor.save_dir}"
    )
    if model.skipped:
        raise DataError(f"{len(model.skipped)} files were left out, all others are done: {model.skipped[0]}.")


def _export(args: dict[str, Any]) -> None:
    result = _model(args, "export").export(**args)
    print(f"Exported to {result.path}")


def _benchmark(args: dict[str, Any]) -> None:
    _model(args, "benchmark").benchmark(**args)


def _info(args: dict[str, Any]) -> None:
    model = _model(args, "info")
    _only(args, {"imgsz", "detailed"}, "info")
    model.info(**args)


def _convert(args: dict[str, Any]) -> None:
    from rsdet.data.convert import convert

    for key in ("source", "format", "out"):
        if key not in args:
            raise ConfigError(f"convert needs {key}=; see `rsdet --help`.")
    _only(args, {"source", "format", "out", "split", "names", "to", "link", "progress", "obb", "difficult", "others"}, "convert")
    report = convert(**args)
    print(report.summary())


def _demo(args: dict[str, Any]) -> None:
    from rsdet.demo import run_demo

    _only(args, {"out", "epochs", "seed"}, "demo")
    run_demo(**args)


def _list(args: dict[str, Any]) -> None:
    from rsdet.listing import print_list

    print_list(**args)


def _only(args: dict[str, Any], known: set[str], mode: str) -> None:
    for key in args:
        if key not in known:
            raise ConfigError(f"{mode} does not know {key}=.{nearest(key, known)} It takes {', '.join(sorted(known))}.")


MODES: dict[str, Callable[[dict[str, Any]], None]] = {
    "train": _train,
    "val": _val,
    "predict": _predict,
    "export": _export,
    "benchmark": _benchmark,
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
    try:
        if mode not in MODES:
            raise ConfigError(f"unknown mode {mode!r}.{nearest(mode, MODES)} Modes: {', '.join(MODES)}.")
        if any(w in {"-h", "--help"} for w in rest):
            print(HELP)
            return 0
        if mode == "list" and rest and "=" not in rest[0]:
            rest = [f"what={rest[0]}", *rest[1:]]
        MODES[mode](parse_words(rest))
    except RSDetError as e:
        if "--debug" in argv:
            raise
        print(f"rsdet: error: {' '.join(str(e).split())}", file=sys.stderr)
        return e.exit_code
    except KeyboardInterrupt:
        print("rsdet: interrupted.", file=sys.stderr)
        return 2
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as e:
        if "--debug" in argv:
            raise
        print(f"rsdet: error: {' '.join(str(e).split())} (--debug shows where).", file=sys.stderr)
        return 2
    except OSError as e:  # a full disk, above all
        if "--debug" in argv:
            raise
        print(
            f"rsdet: error: {e.strerror or e}; free some space or choose another folder with project=.", file=sys.stderr
        )
        return 2
    return 0


def main() -> None:
    """Entry point of the command ``rsdet``."""
    sys.exit(run(sys.argv[1:]))
