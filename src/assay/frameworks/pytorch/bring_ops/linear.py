"""Products: linear layers, matrix products, convolutions."""

from __future__ import annotations

from typing import Any

from assay.frameworks.pytorch.bring_ops.common import Call, Result, Untranslatable, aten, known, repeated
from assay.nn.tensor import Tensor


@aten("linear")
def linear(c: Call) -> Result:
    x, bias = c.tensor("input"), c.optional("bias")
    held = c.weight("weight")
    own = held is not None and held.array.ndim == 2
    weight = held.transposed(c.tracer) if held is not None and own else c.transpose(c.tensor("weight"), (1, 0))
    y = c.node("MatMul", [x, weight], c.shape)
    return y if bias is None else c.node("Add", [y, bias], c.shape)


@aten("matmul", "bmm", "mm", "mv", "dot")
def matmul(c: Call) -> Result:
    names = [name for name in c.arguments if name in ("self", "other", "mat2", "vec", "tensor")]
    left, right = (c.cast(c.tensor(name), c.dtype) for name in names)
    return c.result("MatMul", [left, right])


@aten("addmm", "baddbmm", "addmv")
def add_product(c: Call) -> Result:
    names = [name for name in c.arguments if name in ("mat1", "mat2", "batch1", "batch2", "mat", "vec")]
    left, right = (c.tensor(name) for name in names)
    y = c.node("MatMul", [left, right], c.shape)
    if c["alpha"] != 1:
        y = c.node("Mul", [y, c.scalar(c["alpha"], c.dtype)], c.shape)
    if c["beta"] == 0:
        return y
    added = c.tensor("self")
    if c["beta"] != 1:
        added = c.node("Mul", [added, c.scalar(c["beta"], c.dtype)], added.shape)
    return c.node("Add", [y, added], c.shape)


@aten("einsum")
def einsum(c: Call) -> Result:
    equation = str(c["equation"]).replace(" ", "")
    if "." in equation:
        raise Untranslatable("an ellipsis in the equation")
    return c.result("Einsum", c.tensors("tensors"), equation=equation)


@aten("conv1d", "conv2d", "conv3d")
def convolution(c: Call) -> Result:
    x, weight = c.tensor("input"), c.tensor("weight")
    rank = weight.rank - 2
    stride, dilation = repeated(c["stride"], rank), repeated(c["dilation"], rank)
    kernel = [known(size, "a kernel") for size in weight.shape[2:]]
    padding = c["padding"]
    if padding == "valid":
        before = after = [0] * rank
    elif padding == "same":
        total = [size * (extent - 1) for size, extent in zip(dilation, kernel, strict=True)]
        before = [amount // 2 for amount in total]
        after = [amount - half for amount, half in zip(total, before, strict=True)]
    else:
        before = after = repeated(padding, rank)
    more = {"strides": stride, "pads": [*before, *after], "dilations": dilation, "group": c["groups"]}
    return _over_batch(c, "Conv", x, weight, kernel_shape=kernel, **more)


@aten("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def transposed_convolution(c: Call) -> Result:
    x, weight = c.tensor("input"), c.tensor("weight")
    rank = weight.rank - 2
    return _over_batch(
        c,
        "ConvTranspose",
        x,
        weight,
        kernel_shape=[known(size, "a kernel") for size in weight.shape[2:]],
        strides=repeated(c["stride"], rank),
        pads=repeated(c["padding"], rank) * 2,
        dilations=repeated(c["dilation"], rank),
        group=c["groups"],
        output_padding=repeated(c["output_padding"], rank),
    )


def _over_batch(c: Call, op_type: str, x: Tensor, weight: Tensor, **attributes: Any) -> Tensor:
    """A convolution; one image without a batch axis gets one for the time being."""
    inputs = [weight, bias] if (bias := c.optional("bias")) is not None else [weight]
    if x.rank == weight.rank:
        return c.result(op_type, [x, *inputs], **attributes)
    y = c.node(op_type, [c.unsqueeze(x, 0), *inputs], (1, *c.shape), **attributes)
    return c.squeeze(y, [0])


@aten("outer")
def outer(c: Call) -> Result:
    left, right = c.unsqueeze(c.tensor("self"), 1), c.unsqueeze(c.tensor("vec2"), 0)
    return c.result("Mul", [left, right])


@aten("bilinear")
def bilinear(c: Call) -> Result:
    operands = [c.tensor("input1"), c.tensor("weight"), c.tensor("input2")]
    y = c.node("Einsum", operands, c.shape, equation="bi,oij,bj->bo")
    bias = c.optional("bias")
    if operands[0].rank != 2:
        raise Untranslatable("inputs with more than two axes")
    return y if bias is None else c.node("Add", [y, bias], c.shape)
