"""Which ONNX operators the ONNX parser of TensorRT 8.6, 10.3 and 10.15 takes, as data.

Sources (each read, not recalled), all of github.com/onnx/onnx-tensorrt:

- [8.5]   docs/operators.md, "TensorRT 8.5 supports operators up to Opset 17" (commit 6d0ab7be).
- [9.2]   docs/operators.md, "TensorRT 9.2 supports operators up to Opset 19".
- [10.15] docs/operators.md, "TensorRT 10.15 supports operators in the inclusive range of opset 9 to opset 24".
- [log]   docs/Changelog.md up to "TensorRT 10.15 GA Release - 2026-2-2".
- [check] onnxOpCheckers.cpp of 10.5 or later (commit 0137504e).
- [ops]   docs.nvidia.com/deeplearning/tensorrt: operator pages TopK and GridSample.

operators.md of the releases 8.6 and 10.3 themselves could not be read. Their rows follow from the lists before and
after them together with the change log between: an operator is taken to be there from the version that the log names,
and where the log is silent from the first list that has it. Thus the table can call something unsupported that is
supported, never the other way round. Nothing in it has been run on TensorRT by us.
"""

from __future__ import annotations

Version = tuple[int, int]

VERSIONS: tuple[str, ...] = ("8.6", "10.3", "10.15")

#: Where each of them comes from.

#: Highest operator set. 10.3: the list of 9.2, the nearest one before it; the true figure may be higher.
MAX_OPSET = {"8.6": 17, "10.3": 19, "10.15": 24}
MIN_OPSET = 17  # ours, not the parser's: below it LayerNormalization is taken apart and overflows in FP16

TOPK_MAX = 3840  # [ops]: k <= 3840; [10.15] says "less than 3840"

#: Operators of [8.5] without a version of their own below.
_SINCE_8_5 = """
Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Celu Clip Concat
Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Dropout Einsum Elu Equal
Erf Exp Expand EyeLike Flatten Floor Gather GatherElements GatherND Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool
Greater GreaterOrEqual GridSample GRU HardSwish HardSigmoid Identity If ImageScaler InstanceNormalization IsNaN
LeakyRelu Less LessOrEqual Log LogSoftmax Loop LRN LSTM LpNormalization LpPool MatMul Max MaxPool Mean
MeanVarianceNormalization Min Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or Pad ParametricSoftplus Pow PRelu
QuantizeLinear RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2
ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize
ReverseSequence RNN RoiAlign Round ScaledTanh Scan Scatter ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin
Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK
Transpose Trilu Unsqueeze Upsample Where Xor
"""

#: Operator -> first version whose parser has it.
SINCE: dict[str, Version] = {
    **dict.fromkeys(_SINCE_8_5.split(), (8, 5)),
    **dict.fromkeys(("GroupNormalization", "LayerNormalization", "IsInf"), (8, 6)),  # [log] 8.6 EA
    **dict.fromkeys(("CastLike", "Hardmax"), (9, 2)),  # [9.2]; Hardmax also [log]
    "DeformConv": (10, 1),  # [log]
    **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow"), (10, 4)),  # [log]
    "STFT": (10, 5),  # [log]; real-valued input only
    **dict.fromkeys(("Gelu", "Mish"), (10, 5)),  # [check]; the log names no version
    "Attention": (10, 14),  # [log]
    **dict.fromkeys(("RMSNormalization", "RotaryEmbedding", "TensorScatter"), (10, 15)),  # [log]
}

#: Operators that every list names as not supported, or that [check] rejects, with what to write in their place.
REFUSED: dict[str, str] = {
    "DFT": "write the transform as a product with a constant matrix",
    "AffineGrid": "compute the grid with MatMul",
    "Compress": "select with Gather and a fixed number of indices",
    "Unique": "leave it to the post-processing outside the graph",
    "MaxUnpool": "use Resize or ConvTranspose",
    "MaxRoiPool": "use RoiAlign",
    "Multinomial": "sample outside the graph",
    "Bernoulli": "sample outside the graph",
    "Det": "compute it from the elements",
    "Col2Im": "use ConvTranspose or DepthToSpace",
    "CenterCropPad": "use Slice and Pad",
    "DynamicQuantizeLinear": "use QuantizeLinear with a constant scale",
    **dict.fromkeys(("ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"), "use QuantizeLinear pairs"),
    **dict.fromkeys(
        (
            "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength",
            "SequenceMap", "SplitToSequence", "ConcatFromSequence", "Optional", "OptionalGetElement",
            "OptionalHasElement",
        ),
        "replace the Python list by tensors with Split and Concat",
    ),
    **dict.fromkeys(("BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"), "use arithmetic operators"),
    **dict.fromkeys(
        ("StringNormalizer", "StringConcat", "StringSplit", "RegexFullMatch", "TfIdfVectorizer"), "take strings out"
    ),
    **dict.fromkeys(("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"), "export the network without its loss"),
    **dict.fromkeys(("MelWeightMatrix", "ImageDecoder"), "leave it to the pre-processing outside the graph"),
}  # fmt: skip

#: Operator -> attribute -> (values that are accepted, first version with that, source). An absent attribute is fine.
VALUES: dict[str, dict[str, tuple[tuple[object, ...], str]]] = {
    "Resize": {
        "mode": (("nearest", "linear"), "[8.5] [9.2] [10.15]"),
        "coordinate_transformation_mode": (
            ("half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners"),
            "[8.5] [9.2] [10.15]",
        ),
        "nearest_mode": (("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"), "[8.5] [9.2] [10.15]"),
        "antialias": ((0,), "[10.15] [check]"),
        "keep_aspect_ratio_policy": (("stretch",), "[10.15] [check]"),
    },
    "Upsample": {"mode": (("nearest", "linear", "bilinear"), "[check]")},
    "GridSample": {
        "mode": (("bilinear", "linear", "nearest", "bicubic", "cubic"), "[ops]"),
        "padding_mode": (("zeros", "border", "reflection"), "[ops]"),
    },
    "TopK": {"sorted": ((1,), "[10.15]")},
    "ScatterND": {"reduction": (("none",), "[10.15]")},
    "BatchNormalization": {"training_mode": ((0,), "[check]")},
    "LpNormalization": {"p": ((1, 2), "[check]")},
    "LpPool": {"p": ((1, 2), "[check]")},
    "DepthToSpace": {"mode": (("DCR", "CRD"), "the ONNX definition; no list restricts it")},
    "RoiAlign": {
        "mode": (("avg", "max"), "[check]"),
        "coordinate_transformation_mode": (("half_pixel", "output_half_pixel"), "[check]"),
    },
    "Pad": {"mode": (("constant", "reflect", "edge", "wrap"), "[log] 8.2, 10.0")},
    "LSTM": {"input_forget": ((0,), "[10.15] [check]"), "layout": ((0,), "[10.15]")},
}

#: (operator, attribute, value) -> first version with it, where that is later than the operator's own.
VALUE_SINCE: dict[tuple[str, str, object], Version] = {
    ("Pad", "mode", "wrap"): (10, 0),  # [log]
    ("GridSample", "mode", "linear"): (10, 15),  # the spelling of opset 20, above MAX_OPSET of the others
    ("GridSample", "mode", "cubic"): (10, 15),
}

#: Operator -> inputs by position that must be constants, and up to which version; None: in all of them.
CONSTANT_INPUTS: dict[str, dict[int, tuple[str, Version | None, str]]] = {
    "CumSum": {1: ("axis", (10, 8), "[8.5] [9.2]; [log] 10.8 lifts it")},
    "Slice": {3: ("axes", (10, 3), "[8.5] [9.2]; [log] 10.3 lifts it")},
    "Squeeze": {1: ("axes", None, "[8.5] [9.2] [10.15]")},
    "Unsqueeze": {1: ("axes", None, "[8.5] [9.2] [10.15]")},
    "OneHot": {1: ("depth", None, "[9.2] [10.15]")},
    "Pad": {3: ("axes", (10, 4), "[log] 10.4 lifts it")},
    "InstanceNormalization": {1: ("scale", (9, 2), "[8.5]"), 2: ("B", (9, 2), "[8.5]")},
    "TopK": {1: ("K", None, "ours: a number of queries must be known; the parser takes a tensor since 8.6 [log]")},
    **{
        f"Reduce{kind}": {1: ("axes", None, "[10.15]")}
        for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
    },
}

#: Operators of which only the first output exists.
ONE_OUTPUT = {"LayerNormalization": "[10.15] [check]", "MaxPool": "[8.5] [10.15]", "BatchNormalization": "[check]"}

#: Operator -> ranks of its first input.
RANKS: dict[str, tuple[tuple[int, ...], str]] = {
    "GridSample": ((4,), "[10.15] [ops]"),
    "AveragePool": ((4, 5), "[8.5] [10.15]: 2D or 3D"),
    "MaxPool": ((4, 5), "[8.5] [10.15]: 2D or 3D"),
    "InstanceNormalization": ((3, 4, 5), "[8.5]"),
}

#: Pooling with dilations other than 1: [10.15] [check].
NO_DILATION = frozenset({"AveragePool", "LpPool", "MaxPool"})

#: Operators whose output size is decided by values: accepted since 8.5, but not in a graph of ours.
DATA_DEPENDENT = frozenset({"NonZero", "NonMaxSuppression", "Unique", "Compress"})

#: Operator -> inputs that are sizes, positions or repeats. Values computed from pixels there make the shape of the
#: graph depend on data. Indices of Gather and the like are not among them: they choose values, not shapes.
SHAPE_INPUTS: dict[str, tuple[int, ...]] = {
    "Reshape": (1,), "Expand": (1,), "ConstantOfShape": (0,), "Range": (0, 1, 2), "Tile": (1,), "Slice": (1, 2, 3, 4),
    "Resize": (2, 3), "Upsample": (1,), "TopK": (1,), "Pad": (1, 3), "OneHot": (1,), "Split": (1,), "Squeeze": (1,),
    "Unsqueeze": (1,), "EyeLike": (), "RandomNormal": (), "RandomUniform": (),
}  # fmt: skip

#: Element types of ONNX that TensorRT has no counterpart for (numbers of onnx.TensorProto.DataType).
#: DOUBLE is cast to FLOAT, INT64 to INT32 before 9.0; both with clamping, [8.5] [log].
UNSUPPORTED_TYPES = {
    4: "uint16", 5: "int16", 8: "string", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128",
}  # fmt: skip

#: Einsum with an ellipsis, a repeated index or broadcasting: not before 10.12, [8.5] and [log] 10.12.
EINSUM_FREE_SINCE: Version = (10, 12)
INT64_SINCE: Version = (9, 0)  # [log] 9.0 EA

#: Whole versions known to give wrong results, with the thread that says so.
KNOWN_BAD = {"10.2.0": "ultralytics pull request 24367"}
#: Jetson Thor and DGX Spark (ARM, compute capability above 10): wrong boxes below this, ultralytics issue 22873.
ARM_BLACKWELL_MIN: Version = (10, 15)
TYPED_ONLY_SINCE: Version = (11, 0)  # flags FP16 and INT8, precision constraints and calibrators are gone


def parse(version: str) -> Version:
    """Return (major, minor) of a version such as ``"10.3.0"``.

    Args:
        version: As ``tensorrt.__version__`` gives it; what follows the second number is ignored.
    """
    major, minor, *_ = [*version.split("."), "0"]
    return int(major), int(minor)


def supports(operator: str, version: str) -> bool:
    """Whether the parser of a TensorRT version knows an operator of the default ONNX domain."""
    return operator in SINCE and parse(version) >= SINCE[operator]
