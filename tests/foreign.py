"""Files that are none of ours, damaged, or made to do harm: each a function that writes one into a folder."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

Make = Callable[[Path, Path], Path]  # folder, folder of good files (model.pt, model.safetensors) -> the file

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGED = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join(['*' + old] * 9)}]}}\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
DEEP_YAML = "a: " + "[" * 5000 + "]" * 5000 + "\n"
DEEP_JSON = "[" * 200_000
DIGITS = "9" * 6000
MODEL = """\
task: detect
family: yolo
nc: {nc}
{more}
backbone:
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, {repeats}, {layer}, [{channels}, 3, 2]]
  - [-1, 1, Conv, [32, 3, 2]]
head:
  - [[1, 2], 1, Detect, [nc]]
"""
META = {"task": "detect", "names": "{0: 'a'}", "imgsz": "[32, 32]", "stride": "32", "batch": "1", "channels": "3"}


class Call:
    """Pickles as a call of something with chosen arguments."""

    def __init__(self, what: Any, *args: Any):
        self.what, self.args = what, args

    def __reduce__(self) -> tuple:
        return self.what, self.args


def model_yaml(more: str = "", nc: str = "1", repeats: str = "1", layer: str = "Conv", channels: str = "16") -> str:
    return MODEL.format(more=more, nc=nc, repeats=repeats, layer=layer, channels=channels)


def written(name: str, content: str | bytes | Any) -> Make:
    def make(folder: Path, good: Path) -> Path:
        path = folder / name
        data = content if isinstance(content, (str, bytes)) else json.dumps(content)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return make


def saved(content: Callable[[Path], Any]) -> Make:
    """A ``.pt`` of ``torch.save``; the content may start from the good checkpoint."""

    def make(folder: Path, good: Path) -> Path:
        torch.save(content(good), folder / "w.pt")
        return folder / "w.pt"

    return make


def checkpoint(good: Path) -> dict[str, Any]:
    return torch.load(good / "model.pt", weights_only=False)


def changed(**values: Any) -> Callable[[Path], Any]:
    """The good checkpoint with other attributes of its model."""

    def content(good: Path) -> Any:
        ckpt = checkpoint(good)
        for key, value in values.items():
            setattr(ckpt["model"], key, value)
        return ckpt

    return content


def poisoned(value: float) -> Callable[[Path], Any]:
    def content(good: Path) -> Any:
        ckpt = checkpoint(good)
        ckpt["model"].model[0].conv.weight.data[0, 0, 0, 0] = value
        return ckpt

    return content


def renamed(name: str, source: Make) -> Make:
    def make(folder: Path, good: Path) -> Path:
        inner = folder / "inner"
        inner.mkdir()
        return source(inner, good).rename(folder / name)

    return make


def cut(source: str, name: str, share: float = 0.5) -> Make:
    def make(folder: Path, good: Path) -> Path:
        data = (good / source).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * share)])
        return folder / name

    return make


def folder_named(name: str, **files: str) -> Make:
    def make(folder: Path, good: Path) -> Path:
        (folder / name).mkdir()
        for file, content in files.items():
            (folder / name / file.replace("__", ".")).write_text(content)
        return folder / name

    return make


def plain(tensors: Callable[[dict], dict] = dict, **header: str | None) -> Make:
    """A safetensors file like the good one with another header; None leaves an entry out."""

    def make(folder: Path, good: Path) -> Path:
        from safetensors import safe_open
        from safetensors.torch import save_file

        with safe_open(good / "model.safetensors", "pt") as f:
            meta, state = dict(f.metadata()), {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118
        meta = {k: v for k, v in {**meta, **header}.items() if v is not None}
        save_file(tensors(state), folder / "w.safetensors", metadata=meta)
        return folder / "w.safetensors"

    return make


def safetensors_of_header(header: str) -> Make:
    data = header.encode()
    return written("w.safetensors", struct.pack("<Q", len(data)) + data)


def graph(weight: float = 0.5, inputs: int = 1, meta: dict[str, str] | None = None) -> Make:
    """A small ONNX file: one convolution."""

    def make(folder: Path, good: Path) -> Path:
        w = np.full((5, 3, 1, 1), 0.5, np.float32)
        w[0, 0] = weight
        x = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, [1, 3, 32, 32]) for i in range(inputs)]
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5, 32, 32])
        nodes = [helper.make_node("Conv", ["x0", "kernel"], ["y"])]
        made = helper.make_graph(nodes, "g", x, [y], [numpy_helper.from_array(w, "kernel")])
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        for key, value in (META if meta is None else meta).items():
            model.metadata_props.add(key=key, value=value)
        onnx.save(model, str(folder / "w.onnx"))
        return folder / "w.onnx"

    return make


def torchscript(name: str) -> Make:
    def make(folder: Path, good: Path) -> Path:
        torch.jit.script(torch.nn.Conv2d(3, 3, 1)).save(str(folder / "m"))
        return (folder / "m").rename(folder / name)

    return make


def repacked(folder: Path, good: Path) -> Path:
    """The good checkpoint, compressed: what it unpacks to has no bound."""
    with zipfile.ZipFile(good / "model.pt") as old, zipfile.ZipFile(folder / "w.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    return folder / "w.pt"


def sparse(folder: Path, good: Path) -> Path:
    """A safetensors file of 64 GB that takes no room on the disk."""
    tensor = {"dtype": "F32", "shape": [1 << 34], "data_offsets": [0, 1 << 36]}
    header = json.dumps({"x": tensor, "__metadata__": {"format": "x"}}).encode()
    with open(folder / "w.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(header)) + header)
        f.truncate(f.tell() + (1 << 36))
    return folder / "w.safetensors"


def other_zip(name: str) -> Make:
    def make(folder: Path, good: Path) -> Path:
        with zipfile.ZipFile(folder / name, "w") as z:
            z.writestr("a/readme.txt", "x")
        return folder / name

    return make


def engine(header: str) -> Make:
    data = header.encode()
    return written("w.engine", struct.pack("<i", len(data)) + data + b"engine")


def record(change: Callable[[dict], Any]) -> Make:
    """The JSON of a benchmark, changed."""
    timing = {"samples_ms": [1.0, 1.1, 1.2], "warmup_runs": 3}
    row = {
        "model": "m", "format": "PyTorch", "imgsz": "64x64", "batch": 1, "network": timing, "end_to_end": timing,
        "params": 1, "size_mb": 1.0, "energy": None, "memory": {}, "accuracy": None, "parity": "reference",
    }  # fmt: skip

    def make(folder: Path, good: Path) -> Path:
        content = {"rows": [row], "hardware": {"cpu": "c"}, "settings": {}, "notes": []}
        return written("r.json", change(json.loads(json.dumps(content))))(folder, good)

    return make


def with_row(**values: Any) -> Make:
    return record(lambda d: {**d, "rows": [{**d["rows"][0], **values}]})


EVIL_CALLS = {
    "of a layer that fetches": lambda: Call(__import__("ultralytics").nn.modules.TorchVision, "resnet18", "DEFAULT"),
    "of a model with an address": lambda: Call(
        __import__("ultralytics").nn.tasks.DetectionModel, "https://example.org/x.yaml"
    ),
    "of a path for a model": lambda: Call(__import__("ultralytics").nn.tasks.DetectionModel, Path("x.yaml")),
}

CHECKPOINTS: dict[str, Make] = {
    "plain state dict": saved(lambda good: checkpoint(good)["model"].state_dict()),
    "state dict in a dict": saved(lambda good: {"state_dict": checkpoint(good)["model"].state_dict(), "epoch": 3}),
    "dict without model": saved(lambda good: {"epoch": 1, "optimizer": {}}),
    "model is none": saved(lambda good: {"model": None, "ema": None}),
    "model is a state dict": saved(lambda good: {"model": checkpoint(good)["model"].state_dict()}),
    "model is text": saved(lambda good: {"model": "yolo"}),
    "empty dict": saved(lambda good: {}),
    "list": saved(lambda good: [1, 2]),
    "tensor": saved(lambda good: torch.zeros(3)),
    "number": saved(lambda good: 7),
    "none": saved(lambda good: None),
    "another network": saved(lambda good: {"model": torch.nn.Linear(2, 2)}),
    "bare network": saved(lambda good: torch.nn.Linear(2, 2)),
    "train_args is a list": saved(lambda good: {**checkpoint(good), "train_args": [1]}),
    "names is none": saved(changed(names=None)),
    "yaml is text": saved(changed(yaml="x")),
    **{
        f"yaml with {key} as a list": saved(
            lambda good, key=key: changed(yaml={**checkpoint(good)["model"].yaml, key: ["x"]})(good)
        )
        for key in ("channels", "enhance", "family")
    },
    "NaN weight": saved(poisoned(float("nan"))),
    "infinite weight": saved(poisoned(float("inf"))),
    "cut short": cut("model.pt", "w.pt"),
    "text": written("w.pt", "hello"),
    "empty file": written("w.pt", b""),
    "other zip": other_zip("w.pt"),
    "compressed": repacked,
    "folder": folder_named("w.pt"),
    "TorchScript": torchscript("w.pt"),
    "ONNX": renamed("w.pt", graph()),
    "code": saved(lambda good: {"model": Call(open, "/dev/null")}),
    **{f"call {k}": saved(lambda good, call=call: {"model": call()}) for k, call in EVIL_CALLS.items()},
}

PLAIN: dict[str, Make] = {
    "no header": plain(format=None, yaml=None, names=None, task=None, imgsz=None),
    "other format": plain(format="pt"),
    "no yaml": plain(yaml=None),
    "no names": plain(names=None),
    "yaml is no JSON": plain(yaml="{"),
    "yaml is a list": plain(yaml="[1]"),
    "yaml is nested deeply": plain(yaml=DEEP_JSON),
    "yaml is empty": plain(yaml="{}"),
    "yaml of rows that are none": plain(yaml='{"family": "yolo", "nc": 1, "backbone": [1], "head": [[]]}'),
    "yaml of another family": plain(yaml='{"family": "x", "backbone": [], "head": []}'),
    "yaml of 1e8 repeats": plain(
        yaml='{"family": "yolo", "nc": 1, "backbone": [[-1, 100000000, "Conv", [8, 3, 2]]], '
        '"head": [[[0], 1, "Detect", ["nc"]]]}'
    ),
    "long number": plain(yaml='{"nc": ' + DIGITS + "}"),
    "names is a list": plain(names='["a"]'),
    "names are numbered oddly": plain(names='{"x": "a"}'),
    "imgsz is text": plain(imgsz='"big"'),
    "weights are missing": plain(lambda state: dict(list(state.items())[:2])),
    "weights of other shapes": plain(lambda state: {k: torch.zeros(1) for k in state}),
    "NaN weight": plain(lambda s: {k: v * float("nan") if v.is_floating_point() else v for k, v in s.items()}),
    "cut short": cut("model.safetensors", "w.safetensors"),
    "text": written("w.safetensors", "hello, this is no such file"),
    "larger than memory and disk": sparse,
    "header of 2^60 bytes": written("w.safetensors", struct.pack("<Q", 1 << 60) + b"{}"),
    "header is a list": safetensors_of_header("[1]"),
    "header is nested deeply": safetensors_of_header(DEEP_JSON),
    "folder": folder_named("w.safetensors"),
}

EXPORTED: dict[str, Make] = {
    "ONNX of another tool": graph(meta={}),
    "ONNX with names that are none": graph(meta={**META, "names": "{0: "}),
    "ONNX with names as a number": graph(meta={**META, "names": "7"}),
    "ONNX with names nested deeply": graph(meta={**META, "names": "[" * 5000}),
    "ONNX with a stride that is none": graph(meta={**META, "stride": "x"}),
    "ONNX with an imgsz of three": graph(meta={**META, "imgsz": "[1, 2, 3]"}),
    "ONNX with a long number": graph(meta={**META, "imgsz": DIGITS}),
    "ONNX with args that are none": graph(meta={**META, "args": "[1]"}),
    "ONNX with our entry cut short": graph(meta={**META, "rsdet": '{"family": '}),
    "ONNX with our entry as a list": graph(meta={**META, "rsdet": "[1, 2]"}),
    "ONNX with our entry nested deeply": graph(meta={**META, "rsdet": DEEP_JSON}),
    "ONNX of an unknown family": graph(meta={**META, "rsdet": '{"family": ["x"]}'}),
    "ONNX of another task": graph(meta={**META, "task": "pose"}),
    "ONNX with two inputs": graph(inputs=2),
    "ONNX with a NaN weight": graph(weight=float("nan")),
    "ONNX with an infinite weight": graph(weight=float("inf")),
    "ONNX that is text": written("w.onnx", "hello"),
    "ONNX that is empty": written("w.onnx", b""),
    "OpenVINO folder that is empty": folder_named("w_openvino_model"),
    "OpenVINO with a bomb": folder_named("w_openvino_model", metadata__yaml=BOMB, w__xml="<net/>"),
    "OpenVINO with a list": folder_named("w_openvino_model", metadata__yaml="- 1\n", w__xml="<net/>"),
    "OpenVINO with junk": folder_named("w_openvino_model", metadata__yaml=json.dumps(META), w__xml="<net"),
    "engine that is text": written("w.engine", "hello"),
    "engine with a list": engine("[1]"),
    "engine nested deeply": engine(DEEP_JSON),
    "TorchScript of another tool": torchscript("w.torchscript"),
    "TorchScript that is another zip": other_zip("w.torchscript"),
    "TorchScript that is text": written("w.torchscript", "hello"),
}


def chain(**values: Any) -> Make:
    return written("c.json", {"rsdet_chain": 1, "enhance": ["dcp.yaml"], "model": "c.json", **values})


CHAINS: dict[str, Make] = {
    "no JSON": written("c.json", "{"),
    "nested deeply": written("c.json", DEEP_JSON),
    "long number": written("c.json", '{"rsdet_chain": ' + DIGITS + "}"),
    "no UTF-8": written("c.json", b"\xff\xfe"),
    "list": written("c.json", [1]),
    "enhance is text": chain(enhance="x.onnx"),
    "enhance of numbers": chain(enhance=[1]),
    "enhance of nothing": chain(enhance=[{}]),
    "model is a number": chain(model=3),
    "no model": chain(model=None),
    "sha256 is a list": chain(sha256=[1]),
    "tile is text": chain(enhance_tile="x"),
    "parts that are to be fetched": chain(enhance=["yolo11n.pt"]),
    "other version": chain(rsdet_chain="one"),
}

MODELS: dict[str, Make] = {
    "bomb": written("m.yaml", BOMB + model_yaml()),
    "anchor in itself": written("m.yaml", "a: &a [*a]\n" + model_yaml()),
    "nested deeply": written("m.yaml", DEEP_YAML),
    "long number": written("m.yaml", model_yaml(nc=DIGITS)),
    "number of sixty": written("m.yaml", model_yaml(nc="1" + ":59" * 2000)),
    "odd date": written("m.yaml", model_yaml(nc="2026-99-99")),
    "date as tag": written("m.yaml", model_yaml(nc="!!timestamp 2026-99-99")),
    "an object": written("m.yaml", model_yaml(nc="!!python/object/apply:os.getcwd []")),
    "no UTF-8": written("m.yaml", b"a: \xff\xfe"),
    "nc is no number": written("m.yaml", model_yaml(nc=".nan")),
    "nc is huge": written("m.yaml", model_yaml(nc="1000000000")),
    "1e8 repeats": written("m.yaml", model_yaml(repeats="100000000")),
    "repeats by depth": written("m.yaml", model_yaml("depth_multiple: 1.0e+9", repeats="3")),
    "repeats that are text": written("m.yaml", model_yaml(repeats="many")),
    "negative repeats": written("m.yaml", model_yaml(repeats="-3")),
    "huge channels": written("m.yaml", model_yaml(channels="1000000000")),
    "huge channels as text": written("m.yaml", model_yaml(channels="'1000000000'")),
    "infinite channels": written("m.yaml", model_yaml(channels=".inf")),
    "many parameters": written("m.yaml", model_yaml(layer="nn.Conv2d", channels="16384, 16384").replace("3, 2]", "9]")),
    "scales are numbers": written("m.yaml", model_yaml("scales: {n: 3}")),
    "width is no number": written("m.yaml", model_yaml("scales: {n: [1, .nan, 1024]}")),
    "based on an address": written("m.yaml", "base: https://example.org/x.yaml\n"),
    "activation is code": written("m.yaml", model_yaml("activation: __import__('os').getcwd()")),
    "layer is no layer": written("m.yaml", model_yaml(layer="os.system")),
    "layer is a function": written("m.yaml", model_yaml(layer="torchvision.ops.nms")),
    "layer is a model by address": written(
        "m.yaml", model_yaml(layer="DetectionModel", channels="\"'https://example.org/x.yaml'\"")
    ),
    "layer with weights to fetch": written("m.yaml", model_yaml(layer="TorchVision", channels="16, resnet18, DEFAULT")),
    "layer with weights to fetch unsaid": written(
        "m.yaml", model_yaml(layer="TorchVision", channels="16, resnet18").replace("18, 3, 2]", "18]")
    ),
    "an argument that is no text of Python": written("m.yaml", model_yaml(channels="a b c")),
    "huge restoration network": written(
        "m.yaml", "task: restore\nfamily: restore\nkind: dehaze\nnetwork: EDSR\nargs: {n_blocks: 100000000}\n"
    ),
    "args nested deeply": written("m.yaml", model_yaml(channels="'" + "[" * 3000 + "'")),
}

RECORDS: dict[str, Make] = {
    "no JSON": written("r.json", "{"),
    "nested deeply": written("r.json", DEEP_JSON),
    "long number": written("r.json", '{"rows": ' + DIGITS + "}"),
    "list": written("r.json", [1]),
    "rows are numbers": record(lambda d: {**d, "rows": [1]}),
    "hardware is a list": record(lambda d: {**d, "hardware": [1]}),
    "samples are NaN": with_row(network={"samples_ms": [float("nan")]}),
    "samples are text": with_row(network={"samples_ms": ["1"]}),
    "imgsz is text": with_row(imgsz=[64, 64]),
    "imgsz is a mapping": with_row(imgsz={"a": 1}),
    "batch is a list": with_row(batch=[1]),
    "model is a number": with_row(model=3),
    "format is a list": with_row(format=["x"]),
    "accuracy is a list": with_row(accuracy=[1]),
    "accuracy is text": with_row(accuracy={"coco AP": "high"}),
}


def data_yaml(**changes: Any) -> str:
    """A data YAML in text; values are YAML, None leaves a key out."""
    content = {"train": "images", "val": "images", "names": "[a]", **changes}
    return "".join(f"{k}: {v}\n" for k, v in content.items() if v is not None)


DATA: dict[str, Make] = {
    "bomb": written("d.yaml", BOMB + data_yaml()),
    "bomb of merged keys": written("d.yaml", MERGED),
    "nested deeply": written("d.yaml", DEEP_YAML),
    "long number": written("d.yaml", data_yaml(nc=DIGITS)),
    "an object": written("d.yaml", data_yaml(names="!!python/object/apply:os.getcwd []")),
    "list": written("d.yaml", "- 1\n"),
    "nothing": written("d.yaml", ""),
    "names is a number": written("d.yaml", data_yaml(names="3")),
    "names is nothing": written("d.yaml", data_yaml(names=None)),
    "nc is no number": written("d.yaml", data_yaml(names=None, nc=".nan")),
    "channels are text": written("d.yaml", data_yaml(channels="three")),
    "train is a number": written("d.yaml", data_yaml(train="7", val="7")),
    "val is a mapping": written("d.yaml", data_yaml(val="{a: b}")),
    "path is a list": written("d.yaml", data_yaml(path="[a, b]")),
    "fetch is a number": written("d.yaml", data_yaml(fetch="7")),
    "name climbs": written("d.yaml", data_yaml(source_format="yolo", name="../x")),
    "no UTF-8": written("d.yaml", b"a: \xff\xfe"),
    "ndjson": written("d.ndjson", '{"type": "dataset", "url": "https://example.org"}\n'),
}
