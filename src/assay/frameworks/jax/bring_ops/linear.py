"""Products of arrays: matrices, and convolutions that are no layers."""

from __future__ import annotations

from assay.frameworks.drafting import Untranslatable, known
from assay.frameworks.jax.bring_ops.common import Call, Result, primitive
from assay.nn.tensor import Tensor


@primitive("dot_general")
def product(c: Call) -> Result:
    (left_sum, right_sum), (left_batch, right_batch) = (
        (tuple(map(int, a)), tuple(map(int, b))) for a, b in c["dimension_numbers"]
    )
    left, right = c.cast(c.tensor(0), c.dtype), c.cast(c.tensor(1), c.dtype)
    batches = len(left_batch)
    leading = tuple(range(batches))
    if len(left_sum) == 1 and left_batch == right_batch == leading:
        if not batches and right.rank == 2 and left.rank >= 1:
            turned = _last(c, left, left_sum[0])
            if turned is not None:
                return c.result("MatMul", [turned, right if right_sum == (0,) else c.transpose(right, (1, 0))])
        if batches and left.rank == right.rank == batches + 2:
            first = left if left_sum[0] == batches + 1 else _swapped(c, left)
            second = right if right_sum[0] == batches else _swapped(c, right)
            return c.result("MatMul", [first, second])
    return c.result(
        "Einsum", [left, right], equation=_equation(left, right, left_sum, right_sum, left_batch, right_batch)
    )


def _last(c: Call, x: Tensor, axis: int) -> Tensor | None:
    """x if the axis is its last; a matrix may be turned."""
    if axis == x.rank - 1:
        return x
    return c.transpose(x, (1, 0)) if x.rank == 2 else None


def _swapped(c: Call, x: Tensor) -> Tensor:
    return c.transpose(x, [*range(x.rank - 2), x.rank - 1, x.rank - 2])


def _equation(
    left: Tensor,
    right: Tensor,
    left_sum: tuple[int, ...],
    right_sum: tuple[int, ...],
    left_batch: tuple[int, ...],
    right_batch: tuple[int, ...],
) -> str:
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    first, second = [""] * left.rank, [""] * right.rank
    for ours, theirs in zip((*left_batch, *left_sum), (*right_batch, *right_sum), strict=True):
        first[ours] = second[theirs] = next(letters)
    first = [item or next(letters) for item in first]
    second = [item or next(letters) for item in second]
    result = [first[axis] for axis in left_batch]
    result += [item for axis, item in enumerate(first) if axis not in (*left_batch, *left_sum)]
    result += [item for axis, item in enumerate(second) if axis not in (*right_batch, *right_sum)]
    return f"{''.join(first)},{''.join(second)}->{''.join(result)}"


@primitive("conv_general_dilated")
def convolution(c: Call) -> Result:
    """Any order of axes, by transposes around ONNX's."""
    numbers = c["dimension_numbers"]
    if set(c["lhs_dilation"]) != {1} or c["batch_group_count"] != 1:
        raise Untranslatable("a convolution over spread data, or with groups of the batch")
    x = c.transpose(c.tensor(0), [int(axis) for axis in numbers.lhs_spec])
    weight = c.transpose(c.tensor(1), [int(axis) for axis in numbers.rhs_spec])
    out = [int(axis) for axis in numbers.out_spec]
    pads = [int(pair[0]) for pair in c["padding"]] + [int(pair[1]) for pair in c["padding"]]
    y = c.node(
        "Conv",
        [x, weight],
        tuple(c.shape[axis] for axis in out),
        kernel_shape=[known(size, "a kernel") for size in weight.shape[2:]],
        strides=[int(size) for size in c["window_strides"]],
        pads=pads,
        dilations=[int(size) for size in c["rhs_dilation"]],
        group=int(c["feature_group_count"]),
    )
    return c.transpose(y, [out.index(axis) for axis in range(len(out))])
