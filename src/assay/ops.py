"""The catalogue of operators: which inputs are weights, and how an operator sees the layout of its data.

Adding an operator to assay is a row here (only if it has weights or a freedom of layout) and a row per framework.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Layout(Enum):
    """How an operator sees the order of its data's axes."""

    FIXED = "fixed"  # works on ONNX's order only
    SPATIAL = "spatial"  # has a channel axis and spatial axes: channels-last frameworks need channels last
    FREE = "free"  # works in any order, the same for all its data inputs and outputs
    BRIDGE = "bridge"  # input and output may each have their own order: the operator itself absorbs the difference


@dataclass(frozen=True)
class Operator:
    """What assay needs to know of an ONNX operator beyond its schema."""

    layout: Layout = Layout.FIXED
    data: tuple[int, ...] = (0,)  # which inputs carry data in the sense of layout
    weights: dict[int, str] = field(default_factory=dict)  # input slot → role name, where a layer owns its weights
    axes_attributes: tuple[str, ...] = ()  # attributes that name axes of the data


_CONVOLUTION = Operator(Layout.SPATIAL, weights={1: "weight", 2: "bias"})
_ELEMENTWISE = Operator(Layout.FREE, data=(0, 1, 2, 3, 4, 5, 6, 7))
_ONE_AXIS = Operator(Layout.FREE, axes_attributes=("axis",))

OPERATORS: dict[str, Operator] = {
    "Conv": _CONVOLUTION,
    "ConvTranspose": _CONVOLUTION,
    "BatchNormalization": Operator(
        Layout.SPATIAL, weights={1: "weight", 2: "bias", 3: "running_mean", 4: "running_var"}
    ),
    "GroupNormalization": Operator(Layout.SPATIAL, weights={1: "weight", 2: "bias"}),
    "LayerNormalization": Operator(weights={1: "weight", 2: "bias"}),
    "RMSNormalization": Operator(weights={1: "weight"}),
    "PRelu": Operator(Layout.SPATIAL, weights={1: "weight"}),
    "MaxPool": Operator(Layout.SPATIAL),
    "AveragePool": Operator(Layout.SPATIAL),
    "GlobalAveragePool": Operator(Layout.SPATIAL),
    "GlobalMaxPool": Operator(Layout.SPATIAL),
    "InstanceNormalization": Operator(Layout.SPATIAL, weights={1: "weight", 2: "bias"}),
    "RNN": Operator(weights={1: "input_weight", 2: "hidden_weight", 3: "bias"}),
    "LSTM": Operator(weights={1: "input_weight", 2: "hidden_weight", 3: "bias"}),
    "GRU": Operator(weights={1: "input_weight", 2: "hidden_weight", 3: "bias"}),
    "Transpose": Operator(Layout.BRIDGE),
    "Unsqueeze": Operator(Layout.BRIDGE),
    "Squeeze": Operator(Layout.BRIDGE),
    "Flatten": Operator(Layout.BRIDGE),
    **{
        name: Operator(Layout.BRIDGE)
        for name in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2")
    },
    **{name: _ONE_AXIS for name in ("Softmax", "LogSoftmax", "Split")},
    "Concat": Operator(Layout.FREE, data=tuple(range(64)), axes_attributes=("axis",)),
    "Slice": Operator(Layout.FREE),
    "Pad": Operator(Layout.FREE),
    **{
        name: _ELEMENTWISE
        for name in (
            *(
                "Add",
                "Sub",
                "Mul",
                "Div",
                "Pow",
                "Max",
                "Min",
                "Where",
                "Neg",
                "Abs",
                "Exp",
                "Log",
                "Sqrt",
                "Reciprocal",
            ),
            *(
                "Relu",
                "Gelu",
                "Swish",
                "Sigmoid",
                "Tanh",
                "Softplus",
                "LeakyRelu",
                "Elu",
                "Selu",
                "HardSigmoid",
                "HardSwish",
            ),
            *(
                "Mish",
                "Dropout",
                "Identity",
                "Cast",
                "Clip",
                "Erf",
                "Sign",
                "Floor",
                "Ceil",
                "Round",
                "Softsign",
                "Celu",
            ),
        )
    },
}
_DEFAULT = Operator()

# Inputs that are numbers about the operator rather than data. Where such an input is a constant, rules read its numbers;
# where it is computed they must take it as a value.
_PARAMETRIC: dict[str, tuple[int, ...]] = {
    "AffineGrid": (1,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "Clip": (1, 2),
    "Col2Im": (1, 2),
    "ConstantOfShape": (0,),
    "CumProd": (1,),
    "CumSum": (1,),
    "DFT": (1, 2),
    "Dropout": (1, 2),
    "Expand": (1,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1, 2, 3, 4),
    "NonMaxSuppression": (2, 3, 4),
    "OneHot": (1,),
    "Pad": (1, 2, 3),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "STFT": (1, 3),
    "SequenceAt": (1,),
    "SequenceErase": (1,),
    "SequenceInsert": (2,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "SplitToSequence": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Trilu": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
    **{
        f"Reduce{name}": (1,)
        for name in ("Mean", "Sum", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")
    },
}


def parametric_slots(op_type: str) -> tuple[int, ...]:
    """The inputs of an operator that are numbers about it rather than data."""
    return _PARAMETRIC.get(op_type, ())


def operator(op_type: str) -> Operator:
    """The catalogue's entry; operators without one have no weights and a fixed layout."""
    return OPERATORS.get(op_type, _DEFAULT)
