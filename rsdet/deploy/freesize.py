"""``dynamic=batch``: a graph that takes any number of images of one size.

Ultralytics' exporter frees batch, height and width together. Height and width are then fixed in the finished graph,
where they are stated once: at its input. What was computed from them folds to constants.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rsdet.deploy.runners import first_line
from rsdet.errors import ExportError
from rsdet.writing import replacing


def fix_size(path: Path, format: str, size: tuple[int, int], *, simplify: bool = True, half: bool = False) -> None:
    """Fix height and width of the input of a graph in which they are free.

    Args:
        path: ONNX file or OpenVINO folder, rewritten; it lies where nobody looks yet.
        format: ``"onnx"`` or ``"openvino"``.
        size: Height and width in pixels.
        simplify: Fold what is constant now.
        half: Weights of the OpenVINO model are FP16.

    Raises:
        ExportError: The graph does not take the size.
    """
    (_fix_onnx if format == "onnx" else _fix_openvino)(path, size, simplify if format == "onnx" else half)


def _fix_onnx(path: Path, size: tuple[int, int], simplify: bool) -> None:
    import onnx

    model = onnx.load(str(path))
    for dim, value in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], size, strict=True):
        dim.ClearField("dim_param")
        dim.dim_value = value
    del model.graph.value_info[:]  # it states sizes that are no longer free
    for output in model.graph.output:
        for i, dim in enumerate(output.type.tensor_type.shape.dim):
            if i and not dim.dim_value:
                dim.dim_param = f"{output.name}_{i}"
    _fix_counts(model, size)
    if simplify:
        import onnxslim

        model = onnxslim.slim(model)
    with replacing(path) as new:
        onnx.save(model, str(new))


def _fix_counts(model: Any, size: tuple[int, int]) -> None:
    """Make constants of the numbers that TopK is asked for, which TensorRT demands.

    They follow from the size alone, through steps that a simplifier does not see through while the batch is free. So
    the graph is run on one and on two random images, and what comes out the same is taken.
    """
    import numpy as np
    import onnx
    import onnxruntime as ort

    known = {i.name for i in model.graph.initializer}
    known |= {n.output[0] for n in model.graph.node if n.op_type == "Constant"}
    nodes = [n for n in model.graph.node if n.op_type == "TopK" and n.input[1] not in known]
    if not nodes:
        return
    wanted = list(dict.fromkeys(n.input[1] for n in nodes))
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    session = ort.InferenceSession(probe.SerializeToString(), providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    rng = np.random.default_rng(0)
    dtype = np.float16 if "float16" in source.type else np.float32
    found = [session.run(wanted, {source.name: rng.random((b, source.shape[1], *size)).astype(dtype)}) for b in (1, 2)]
    for name, one, two in zip(wanted, *found, strict=True):
        if np.array_equal(one, two):
            model.graph.initializer.append(onnx.numpy_helper.from_array(one, f"{name}_fixed"))
            for node in nodes:
                if node.input[1] == name:
                    node.input[1] = f"{name}_fixed"


def _fix_openvino(path: Path, size: tuple[int, int], half: bool) -> None:
    import openvino as ov

    (xml,) = path.glob("*.xml")
    model = ov.Core().read_model(str(xml))
    try:
        model.reshape([-1, model.input().partial_shape[1], *size])
    except RuntimeError as e:
        raise ExportError(
            f"{path.name} cannot be fixed to {size[0]}x{size[1]} ({first_line(e)}); expected a graph that takes it; "
            "use dynamic=True"
        ) from e
    fixed = xml.with_name(f"{xml.stem}-fixed.xml")
    ov.save_model(model, fixed, compress_to_fp16=half)
    del model  # it maps the file that is replaced now
    for suffix in (".bin", ".xml"):
        fixed.with_suffix(suffix).replace(xml.with_suffix(suffix))
