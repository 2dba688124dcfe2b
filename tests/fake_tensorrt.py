"""A stand-in for the module ``tensorrt`` of 8.6, 10.3, 10.15 and 11: records calls and objects as the bindings would.

It holds what the documentation of each version has: names that a version lacks are absent, arguments of a wrong type
raise ``TypeError`` as pybind11 does, and calls in a wrong order fail. It builds nothing: the "engine" is a few bytes.
"""

from __future__ import annotations

import enum
from types import ModuleType
from typing import Any

import numpy as np
import onnx


class DataType(enum.Enum):
    FLOAT, HALF, INT32, INT8, BOOL, INT64 = range(6)


class LayerType(enum.Enum):
    CONVOLUTION, CONSTANT, SHAPE, OTHER = range(4)


class TensorIOMode(enum.Enum):
    INPUT, OUTPUT = 1, 2


def _is(value: Any, *kinds: type) -> None:
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise TypeError(f"incompatible function arguments: {value!r}")


class Tensor:
    def __init__(self, dtype: DataType, is_shape_tensor: bool = False):
        self.dtype, self.is_shape_tensor = dtype, is_shape_tensor


class Layer:
    """Checks what the real one would complain of at build time: precision on integers and on shapes."""

    def __init__(self, name: str, kind: LayerType, outputs: list[Tensor], metadata: str):
        self.name, self.type, self.outputs, self.metadata = name, kind, outputs, metadata
        self.held: DataType | None = None
        self.types: dict[int, DataType] = {}

    num_outputs = property(lambda self: len(self.outputs))

    def get_output(self, i: int) -> Tensor:
        return self.outputs[i]

    @property
    def precision(self) -> DataType:
        return self.held or DataType.FLOAT

    @precision.setter
    def precision(self, value: DataType) -> None:
        _is(value, DataType)
        assert self.type not in (LayerType.CONSTANT, LayerType.SHAPE), f"constraint on {self.type}"
        self.held = value

    def set_output_type(self, index: int, dtype: DataType) -> None:
        _is(index, int)
        _is(dtype, DataType)
        assert self.outputs[index].dtype in (DataType.FLOAT, DataType.HALF), f"{self.name} puts out integers"
        self.types[index] = dtype


class Fake(ModuleType):
    """The module, and what was done with it.

    Attributes:
        calls: Names of calls in order.
        fail: ``"parse"`` or ``"build"`` makes that step fail.
        network: The last parsed network.
        config: The last configuration.
        engine: What a build returns; None is what a failed one returns.
    """

    def __init__(self, version: str):
        super().__init__("tensorrt")
        major = int(version.split(".")[0])
        self.__version__, self.calls, self.fail = version, [], ""
        self.engine: bytes | None = b"a plan of " + version.encode()
        self.float32, self.float16, self.int32 = DataType.FLOAT, DataType.HALF, DataType.INT32
        self.DataType, self.LayerType, self.TensorIOMode = DataType, LayerType, TensorIOMode
        flags = ["TF32"] + (["FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS"] if major < 11 else [])
        self.BuilderFlag = enum.IntEnum("BuilderFlag", flags, start=0)
        creation = {"EXPLICIT_BATCH": 0} if major < 11 else {}
        creation |= {"STRONGLY_TYPED": 1} if 10 <= major < 11 else {}
        self.NetworkDefinitionCreationFlag = enum.IntEnum("NetworkDefinitionCreationFlag", creation)
        self.MemoryPoolType = enum.Enum("MemoryPoolType", ["WORKSPACE"])
        module = self

        class Logger:
            WARNING, INFO = 2, 3

            def __init__(self, severity: int = 2):
                module.calls.append("Logger")

        class Cache:
            def __init__(self, data: bytes):
                self.data = data

            def serialize(self) -> memoryview:
                return memoryview(b"timings of " + version.encode())

        class Profile:
            def __init__(self) -> None:
                self.shapes: dict[str, tuple] = {}

            def set_shape(self, input: str, min: tuple, opt: tuple, max: tuple) -> None:
                _is(input, str)
                for s in (min, opt, max):
                    _is(s, tuple, list)
                self.shapes[input] = (min, opt, max)

        class Config:
            def __init__(self) -> None:
                self.flags, self.pools, self.profiles, self.cache = set(), {}, [], None
                if major < 11:
                    self.int8_calibrator = None
                module.config = self

            def set_flag(self, flag: Any) -> None:
                _is(flag, module.BuilderFlag)
                self.flags.add(flag.name)

            def set_memory_pool_limit(self, pool: Any, size: int) -> None:
                _is(pool, module.MemoryPoolType)
                _is(size, int)
                self.pools[pool.name] = size

            def add_optimization_profile(self, profile: Profile) -> int:
                _is(profile, Profile)
                self.profiles.append(profile)
                return len(self.profiles) - 1

            def create_timing_cache(self, data: bytes) -> Cache:
                _is(data, bytes)
                return Cache(data)

            def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:
                _is(cache, Cache)
                _is(ignore_mismatch, bool)
                if cache.data and cache.data != b"timings of " + version.encode():
                    return False
                self.cache = cache
                return True

        class Network:
            def __init__(self) -> None:
                self.layers: list[Layer] = []
                module.network = self

            num_layers = property(lambda self: len(self.layers))

            def get_layer(self, i: int) -> Layer:
                return self.layers[i]

        class Builder:
            def __init__(self, logger: Logger):
                _is(logger, Logger)
                module.calls.append("Builder")

            def create_network(self, flags: int = 0) -> Network:
                _is(flags, int)
                explicit = flags & 1
                assert explicit or major >= 10, "8.6 would make a network of implicit batch, which ONNX cannot use"
                module.typed = major >= 11 or bool(flags & 2)
                module.calls.append("create_network")
                return Network()

            def create_builder_config(self) -> Config:
                module.calls.append("create_builder_config")
                return Config()

            def create_optimization_profile(self) -> Profile:
                return Profile()

            def build_serialized_network(self, network: Network, config: Config) -> memoryview | None:
                _is(network, Network)
                _is(config, Config)
                assert network.layers, "built before parsing"
                assert not (module.typed and config.flags & {"FP16", "INT8"}), "precision flags in a typed network"
                module.calls.append("build_serialized_network")
                calibrator = getattr(config, "int8_calibrator", None)
                if "INT8" in config.flags and calibrator is not None and calibrator.read_calibration_cache() is None:
                    while (found := calibrator.get_batch(["images"])) is not None:
                        assert all(isinstance(p, int) for p in found)
                    calibrator.write_calibration_cache(memoryview(b"ranges"))
                return None if module.fail == "build" or module.engine is None else memoryview(module.engine)

        class Error:
            def __init__(self, index: int, node: Any):
                self._index, self._node = index, node
                if major >= 10:
                    self.node_name = lambda: node.name
                    self.node_operator = lambda: node.op_type

            def desc(self) -> str:
                return "Assertion failed: no importer\nfor this"

            def node(self) -> int:
                return self._index

        class OnnxParser:
            def __init__(self, network: Network, logger: Logger):
                _is(network, Network)
                _is(logger, Logger)
                self.network, self.errors = network, []

            num_errors = property(lambda self: len(self.errors))

            def get_error(self, index: int) -> Error:
                return self.errors[index]

            def parse(self, model: bytes) -> bool:
                _is(model, bytes)
                module.calls.append("parse")
                module.parsed = onnx.load_from_string(model)
                graph = onnx.shape_inference.infer_shapes(module.parsed).graph
                if module.fail == "parse":
                    self.errors = [Error(1, graph.node[1])]
                    return False
                kinds = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.output)}
                for n in graph.node:
                    outputs = [Tensor(_type(kinds.get(o, 1)), n.op_type == "Shape") for o in n.output]
                    kind = {"Conv": "CONVOLUTION", "Constant": "CONSTANT", "Shape": "SHAPE"}.get(n.op_type, "OTHER")
                    made = Layer(n.name, LayerType[kind], outputs, f"[ONNX Layer: {n.name}]")
                    self.network.layers.append(made)
                    if n.op_type == "Softmax":  # one node can become two layers, the second with a number
                        self.network.layers.append(Layer(f"{n.name}_7", LayerType.OTHER, outputs, ""))
                return True

        self.Logger, self.Builder, self.OnnxParser = Logger, Builder, OnnxParser
        if major < 11:
            self.IInt8EntropyCalibrator2 = type("IInt8EntropyCalibrator2", (), {"__init__": lambda s: None})
        self.Runtime = _runtime(self)


def _runtime(module: Fake) -> type:
    class Context:
        def __init__(self, engine: Any):
            self.engine, self.shape, self.addresses = engine, None, {}

        def set_input_shape(self, name: str, shape: tuple) -> bool:
            self.shape = tuple(shape)
            return shape[0] <= 4

        def get_tensor_shape(self, name: str) -> tuple:
            return self.shape if name == "images" else (self.shape[0], 5, 6)

        def set_tensor_address(self, name: str, address: int) -> bool:
            _is(address, int)
            self.addresses[name] = address
            return True

        def execute_async_v3(self, stream_handle: int) -> bool:
            assert set(self.addresses) == {"images", "output0"}, "a tensor has no memory"
            return module.fail != "run"

    class Engine:
        num_io_tensors = 2

        def get_tensor_name(self, i: int) -> str:
            return ("images", "output0")[i]

        def get_tensor_mode(self, name: str) -> TensorIOMode:
            return TensorIOMode.INPUT if name == "images" else TensorIOMode.OUTPUT

        def get_tensor_dtype(self, name: str) -> DataType:
            return DataType.FLOAT

        def get_tensor_shape(self, name: str) -> tuple:
            return (-1, 3, 32, 32) if name == "images" else (-1, 5, 6)

        def create_execution_context(self) -> Context:
            module.context = Context(self)
            return module.context

    class Runtime:
        def __init__(self, logger: Any):
            _is(logger, module.Logger)

        def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
            _is(data, bytes)
            return Engine() if data == module.engine else None

    return Runtime


def _type(kind: int) -> DataType:
    return {1: DataType.FLOAT, 10: DataType.HALF, 6: DataType.INT32, 7: DataType.INT64, 9: DataType.BOOL}.get(
        kind, DataType.FLOAT
    )


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)
