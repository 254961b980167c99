"""Dense layers, sums of products, and tables that are looked up."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

from assay.frameworks.drafting import Untranslatable
from assay.frameworks.keras.bring_ops.activations import apply
from assay.frameworks.keras.bring_ops.common import Call, Value, Weight, is_floating, layer, operation, plain
from assay.nn.tensor import Dim, Shape, Tensor
from assay.write.weights import reshape


@layer("Dense")
def dense(c: Call) -> Value:
    x = c.x
    kernel, bias = c.option("_kernel"), c.option("bias")
    y = product(c, x, c.form(kernel, tuple(kernel.shape)), None if bias is None else c.form(bias, tuple(bias.shape)))
    return apply(c, y, c.option("activation"))


def product(c: Call, x: Value, kernel: Tensor, bias: Tensor | None) -> Value:
    """x · kernel + bias on the last axis."""
    data = c.plain(x)
    shape = (*data.shape[:-1], kernel.shape[-1])
    y = c.node("MatMul", [data, kernel], shape)
    if bias is not None:
        y = c.node("Add", [y, bias], shape)
    return c.wrap(y)


# EinsumDense ----------------------------------------------------------------------------------------------------------


@layer("EinsumDense")
def einsum_dense(c: Call) -> Value:
    x, kernel, bias = c.x, c.option("_kernel"), c.option("bias")
    left, right, result = _written_out(c.option("equation"), x.rank, len(kernel.shape))
    contracted = [axis for axis in left if axis in right and axis not in result]
    made = [axis for axis in right if axis in result]
    kept = left[: len(left) - len(contracted)]
    as_product = (
        left == kept + "".join(contracted)
        and right == "".join(contracted) + "".join(made)
        and result == kept + "".join(made)
        and not set(kept) & set(right)
    )
    if as_product:
        y = _as_dense(c, x, kernel, bias, len(contracted), len(made))
    else:
        weight = c.weights(kernel)
        y = einsum(c, f"{left},{right}->{result}", [x, c.held(weight)])
        if bias is not None:
            shape = y.shape
            tensor = c.node("Add", [c.plain(y), c.plain(c.held(c.weights(bias)))], shape)
            y = c.wrap(tensor)
    return apply(c, y, c.option("activation"))


def _as_dense(c: Call, x: Value, kernel: Any, bias: Any, contracted: int, made: int) -> Value:
    """A product of matrices between reshapes: `abc,cde->abde` is a dense layer with two axes of units."""
    sizes = [int(size) for size in kernel.shape]
    rows, columns = _size(sizes[:contracted]), _size(sizes[contracted:])
    lead = x.shape[: x.rank - contracted]
    data = c.plain(x)
    if contracted != 1:
        with c.outside():
            data = c.reshape(data, (*lead, rows))
    weight = c.form(kernel, (rows, columns), *([] if len(sizes) == 2 else [reshape((rows, columns), sizes)]))
    held = None
    if bias is not None:
        shape = tuple(int(size) for size in bias.shape)
        if _size(shape) != columns or (len(shape) < made and columns != shape[-1]):
            raise Untranslatable("a bias that is not one number for each unit")
        held = c.form(bias, (columns,), *([] if len(shape) == 1 else [reshape((columns,), shape)]))
    y = product(c, Value(data.shape, data.dtype, {plain(data.rank): data}), weight, held)
    if made == 1:
        return y
    with c.outside():
        return c.wrap(c.reshape(c.plain(y), (*lead, *sizes[contracted:])))


def _size(sizes: Sequence[int]) -> int:
    found = 1
    for size in sizes:
        found *= size
    return found


def _written_out(equation: str, rank: int, kernel_rank: int) -> tuple[str, str, str]:
    """The equation with letters in place of `...`."""
    operands, _, result = equation.replace(" ", "").partition("->")
    left, right = operands.split(",")
    if "..." in equation:
        free = [letter for letter in string.ascii_lowercase if letter not in equation]
        dots = "".join(free[: rank - len(left.replace("...", ""))])
        left, result = left.replace("...", dots), result.replace("...", dots)
    if len(left) != rank or len(right) != kernel_rank:
        raise Untranslatable(f"the equation {equation}")
    return left, right, result


def einsum(c: Call, equation: str, values: Sequence[Value]) -> Value:
    """An Einsum of values in Keras' own order."""
    sizes: dict[str, Dim] = {}
    operands, _, result = equation.partition("->")
    for letters, value in zip(operands.split(","), values, strict=True):
        for letter, size in zip(letters, value.shape, strict=True):
            if sizes.get(letter, 1) == 1:
                sizes[letter] = size
    shape: Shape = tuple(sizes[letter] for letter in result)
    return c.wrap(c.node("Einsum", [c.plain(value) for value in values], shape, equation=equation))


@operation("Einsum")
def einsum_operation(c: Call) -> Value:
    values = [c.cast(c.value(item), c.dtype) for item in c["operands"]]
    equation = str(c.option("subscripts")).replace(" ", "")
    if "..." in equation or "->" not in equation:
        raise Untranslatable(f"the equation {equation}")
    return einsum(c, equation, values)


# Tables ---------------------------------------------------------------------------------------------------------------


@layer("Embedding")
def embedding(c: Call) -> Value:
    return look_up(c, c.weights(c.option("_embeddings")))


def look_up(c: Call, table: Weight) -> Value:
    x = c.x
    with c.outside():
        indices = c.cast(x, "int32") if is_floating(x.dtype) else x
    held = c.held(table)
    shape = (*x.shape, table.shape[-1])
    rows = c.plain(held)
    return c.wrap(c.node("Gather", [rows, c.plain(indices)], shape, rows.dtype, axis=0))


@layer("ReversibleEmbedding")
def reversible_embedding(c: Call) -> Value:
    if not c.arguments.get("reverse", False):
        return look_up(c, c.weights(c.option("_embeddings")))
    if c.option("logit_soft_cap") is not None:
        raise Untranslatable("logit_soft_cap")
    if c.option("tie_weights"):
        table = c.plain(c.held(c.weights(c.option("_embeddings"))))
        kernel = c.transpose(table, (1, 0))
    else:
        reverse = c.option("reverse_embeddings")
        kernel = c.form(reverse, tuple(reverse.shape))
    return product(c, c.x, kernel, None)
