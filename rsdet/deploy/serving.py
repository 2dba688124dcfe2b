"""What others serve an ONNX file with, written beside it: a model repository of Triton, a program in C++.

Format of the repository: https://docs.nvidia.com/deeplearning/triton-inference-server, "Model Configuration".
"""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsdet.errors import ConfigError, MissingDependencyError
from rsdet.names import printable
from rsdet.paths import PACKAGE
from rsdet.writing import write_bytes, write_text

PROGRAM = PACKAGE / "assets" / "onnx_runtime.cpp"
_TYPES = {"float": "FP32", "float16": "FP16", "double": "FP64", "uint8": "UINT8", "int32": "INT32", "int64": "INT64",
          "bool": "BOOL"}  # fmt: skip


def check(format: str, triton: bool, cpp: bool) -> None:
    """Refuse keys of this module where they say nothing.

    Raises:
        ConfigError: The format is another.
        MissingDependencyError: The file cannot be opened here to see what it takes.
    """
    asked = [key for key, value in (("triton", triton), ("cpp", cpp)) if value]
    if asked and format != "onnx":
        raise ConfigError(f"{asked[0]}=True with format={format}; expected format=onnx; leave {asked[0]}= out.")
    if triton:
        try:
            import onnxruntime  # noqa: F401
        except ImportError as e:
            raise MissingDependencyError("triton=True needs onnxruntime; pip install onnxruntime.") from e


def write_triton(made: Path) -> Path:
    """Write ``<stem>_triton/<stem>/`` with ``config.pbtxt`` and ``1/model.onnx``.

    Sides that are free in the file are -1, and the batch is one of the sides (``max_batch_size: 0``).

    Args:
        made: The ONNX file.

    Returns:
        The repository, for ``tritonserver --model-repository``.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(str(made), providers=["CPUExecutionProvider"])
    sides = {"input": session.get_inputs(), "output": session.get_outputs()}
    lines = [f"name: {_quoted(made.stem)}", 'backend: "onnxruntime"', "max_batch_size: 0"]
    lines += [f"{kind} [\n{_separated(tensors)}\n]" for kind, tensors in sides.items()]
    repository = made.with_name(f"{made.stem}_triton")
    folder = repository / made.stem
    (folder / "1").mkdir(parents=True, exist_ok=True)
    write_bytes(folder / "1" / "model.onnx", made.read_bytes())
    write_text(folder / "config.pbtxt", "\n".join(lines) + "\n")
    return repository


def _separated(tensors: list[Any]) -> str:
    texts = []
    for t in tensors:
        dims = ", ".join(str(d) if isinstance(d, int) else "-1" for d in t.shape)
        kind = _TYPES[t.type.removeprefix("tensor(").removesuffix(")")]
        texts.append(f"  {{ name: {_quoted(t.name)}  data_type: TYPE_{kind}  dims: [ {dims} ] }}")
    return ",\n".join(texts)


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)  # protobuf's parser refuses the two halves in which JSON escapes emoji


def write_cpp(made: Path, meta: Mapping[str, Any]) -> Path:
    """Write ``<stem>.cpp``, a program that runs the file by ONNX Runtime.

    Args:
        made: The ONNX file.
        meta: What was written into it.
    """
    import onnx

    axes = onnx.load(str(made), load_external_data=False).graph.input[0].type.tensor_type.shape.dim
    free = (meta["batch"], meta["channels"], *meta["imgsz"])  # where the graph leaves it open
    source = made.with_suffix(".cpp")
    rule = f"pixels.raw holds the input as float32 in the order of these sides: {meta['preprocess']}."
    words = {
        "file": printable(made.name), "model": printable(shlex.quote(made.name)),
        "source": printable(shlex.quote(source.name)), "program": printable(shlex.quote(made.stem)),
        "sides": " ".join(str(axis.dim_value or usual) for axis, usual in zip(axes, free, strict=True)),
        "rule": "\n   ".join(textwrap.wrap(rule, 115)),
    }  # fmt: skip
    text = PROGRAM.read_text(encoding="utf-8")
    return write_text(source, re.sub(rf"\{{({'|'.join(words)})\}}", lambda found: words[found[1]], text))
