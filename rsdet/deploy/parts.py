"""Export of a network with a second input that is no raster: a graph for each part, in a folder with one JSON.

A picture then is encoded once for all that is asked of it. The parts are proved together, as one network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rsdet import digest
from rsdet.deploy.exporter import FAILURES, no_reports_home, one_at_a_time
from rsdet.deploy.runners import first_line
from rsdet.deploy.settings import ExportSettings
from rsdet.errors import ConfigError, ExportError
from rsdet.writing import put, write_text

if TYPE_CHECKING:
    from rsdet.deploy.job import Job

FORMATS = ("onnx", "openvino", "engine")
COMMANDS = "trtexec.txt"


@dataclass(frozen=True)
class Part:
    """One of the graphs that a network becomes.

    Attributes:
        module: What is traced, in eval mode, on the CPU.
        inputs: Name to an example, (B, ...), in the order of the arguments; the batch is free, all else is not.
        outputs: Names of what it gives, in their order.
        most: Largest batch of an engine.
    """

    module: torch.nn.Module
    inputs: Mapping[str, torch.Tensor]
    outputs: tuple[str, ...]
    most: int = 64


def folder_name(stem: str, task: str, format: str) -> str:
    """Name of the folder of a network's parts."""
    return f"{stem}_{task}_{'onnx' if format == 'engine' else format}"


def check_settings(settings: ExportSettings) -> None:
    """Refuse settings that are about one graph.

    Raises:
        ConfigError: One of them.
    """
    if settings.format not in FORMATS:
        raise ConfigError(f"format={settings.format} with a network of two graphs; expected {', '.join(FORMATS)}.")
    if settings.size[0] != settings.size[1]:
        raise ConfigError(f"imgsz={list(settings.size)}; expected a square, which pictures become; pass one number.")
    if settings.half and settings.format != "openvino":
        raise ConfigError(
            f"half=True with format={settings.format}: a threshold in the network makes FP16 answer otherwise; leave "
            "half= out, or use format=openvino, which stores weights in FP16 and computes in FP32."
        )
    for key, why in (
        ("dynamic", "the batch of each graph is free as it is, and its size is not"), ("debug", "it looks into one"),
        ("stac", "an item describes one"), ("triton", "a server's model is one"), ("cpp", "the program runs one"),
    ):  # fmt: skip
        if getattr(settings, key):
            raise ConfigError(f"{key}= is not for a network of two graphs: {why}; leave it out.")


def make_parts(parts: Mapping[str, Part], folder: Path, settings: ExportSettings, meta: dict[str, Any]) -> Path:
    """Make the graphs of a network.

    Args:
        parts: What becomes a graph, by name.
        folder: Where to; it is made.
        settings: How.
        meta: What the folder will say of itself; ``parts`` and ``files`` are added.

    Returns:
        The folder, with a JSON that has yet to be filled.

    Raises:
        ExportError: The exporter failed.
    """
    folder.mkdir()
    files = {}
    for name, part in parts.items():
        try:
            with one_at_a_time:
                files[name] = _make(part, folder / f"{name}.onnx", settings)
        except FAILURES as e:
            raise ExportError(
                f"{settings.graph} export of the part {name} failed ({first_line(e)}); expected a graph that the "
                "format can hold; try another opset="
            ) from e
    meta["parts"] = {
        name: {"file": files[name].name, "inputs": [*part.inputs], "outputs": [*part.outputs]}
        for name, part in parts.items()
    }
    meta["files"] = {file.name: digest.digest(file) for file in files.values()}
    write_text(folder / digest.PARTS, "{}")
    return folder


def _make(part: Part, path: Path, settings: ExportSettings) -> Path:
    torch.onnx.export(
        part.module, tuple(part.inputs.values()), str(path), opset_version=settings.opset, dynamo=False,
        input_names=[*part.inputs], output_names=[*part.outputs],
        dynamic_axes={name: {0: "batch"} for name in (*part.inputs, *part.outputs)},
    )  # fmt: skip
    if settings.simplify:
        import onnx
        import onnxslim

        onnx.save(onnxslim.slim(onnx.load(str(path))), str(path))
    if settings.graph == "onnx":
        return path
    import openvino

    with no_reports_home():
        graph = openvino.convert_model(str(path))
        openvino.save_model(graph, str(path.with_suffix(".xml")), compress_to_fp16=settings.half)
    path.unlink()
    return path.with_suffix(".xml")


def leave_commands(job: Job, place: Path, target: Path) -> ExportError:
    """Put the proved ONNX graphs in place, with the commands that build engines of them; none is built here.

    Args:
        job: The export.
        place: Where to work.
        target: Folder of the graphs.

    Returns:
        What says so.

    Raises:
        ExportError: The graphs disagree with the network.
    """
    from rsdet.deploy.trt.trtexec import trtexec_command

    made = job.make(place, target.name)
    job.prove(made, target, format="onnx")
    lines = ["# Run these in this folder, on the device."]
    for name, part in job.parts.items():
        shapes = {
            key: [(n, *x.shape[1:]) for n in (1, max(1, part.most // 2), part.most)] for key, x in part.inputs.items()
        }
        workspace = {"workspace_mb": job.settings.workspace_mb, "opt_shapes": shapes}
        command = trtexec_command(made / f"{name}.onnx", engine=f"{name}.engine", **workspace)
        lines.append(command.replace(f"{made}/", ""))
    write_text(made / COMMANDS, "\n".join(lines) + "\n")
    put(made, target)
    return ExportError(
        f"engines of a network of {len(job.parts)} graphs are neither built nor run here; the proved ONNX graphs lie "
        f"in {target}: run the commands in {COMMANDS} there on the device, or use format=onnx"
    )
