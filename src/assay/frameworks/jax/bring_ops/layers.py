"""Layers of Flax."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.frameworks.drafting import Untranslatable, Weight, known, volume
from assay.frameworks.jax.bring_ops.common import Call, Result, primitive
from assay.nn.tensor import Tensor
from assay.write.weights import reshape, transpose


@primitive("layer:linear")
def linear(c: Call) -> Result:
    y = c.node("MatMul", [c.tensor(0), c.tensor(1)], c.shape)
    return y if len(c) < 3 else c.node("Add", [y, c.tensor(2)], c.shape)


@primitive("layer:linear_general")
def linear_general(c: Call) -> Result:
    """One product of matrices: the contracted axes as one, the new axes as one."""
    x, contracted = c.tensor(0), c["contracted"]
    kernel = _shape(c, 1)
    rows, columns = volume(kernel[:contracted]), volume(kernel[contracted:])
    kept = x.shape[: x.rank - contracted]
    with c.outside():
        flat = c.reshape(x, (*kept, rows)) if contracted > 1 else x
    y = c.node("MatMul", [flat, _reshaped(c, 1, (rows, columns))], (*kept, columns))
    if len(c) > 2:
        y = c.node("Add", [y, _reshaped(c, 2, (columns,))], y.shape)
    with c.outside():
        return c.reshape(y, c.shape)


def _shape(c: Call, place: int) -> tuple[int, ...]:
    given = c.inputs[place]
    shape = given.array.shape if isinstance(given, Weight) else given.shape
    return tuple(known(size, "a kernel") for size in shape)


def _reshaped(c: Call, place: int, shape: tuple[int, ...]) -> Tensor:
    old = _shape(c, place)
    if old == shape:
        return c.tensor(place)
    held = c.weight(place)
    return held.form(c.tracer, reshape(old, shape)) if held is not None else c.reshape(c.tensor(place), shape)


def _turned(c: Call, place: int, order: tuple[int, ...]) -> Tensor:
    """A kernel with its axes in ONNX's order."""
    held = c.weight(place)
    return held.form(c.tracer, transpose(*order)) if held is not None else c.transpose(c.tensor(place), order)


@primitive("layer:conv")
def convolution(c: Call) -> Result:
    kernel, x = _shape(c, 1), c.tensor(0)
    rank = len(kernel) - 2
    strides, dilations, padding = c["strides"], c["dilations"], c["padding"]
    x = c.channels_first(x)
    reach = [dilation * (size - 1) for dilation, size in zip(dilations, kernel, strict=False)]
    if padding in ("CIRCULAR", "REFLECT"):
        pads = [(amount // 2, amount - amount // 2) for amount in reach]
        x = _padded(c, x, pads, "wrap" if padding == "CIRCULAR" else "reflect")
        padding = "VALID"
    before, after = pads_of(padding, [known(size, "a convolution") for size in x.shape[2:]], reach, strides)
    weight = _turned(c, 1, (rank + 1, rank, *range(rank)))
    inputs = [x, weight, *([c.tensor(2)] if len(c) > 2 else [])]
    shape = (c.shape[0], c.shape[-1], *c.shape[1:-1])
    y = c.node(
        "Conv",
        inputs,
        shape,
        kernel_shape=list(kernel[:rank]),
        strides=list(strides),
        pads=[*before, *after],
        dilations=list(dilations),
        group=c["groups"],
    )
    return c.channels_last(y)


def _padded(c: Call, x: Tensor, pads: list[tuple[int, int]], mode: str) -> Tensor:
    before, after = [0, 0, *(item[0] for item in pads)], [0, 0, *(item[1] for item in pads)]
    shape = tuple(
        size if not a + b else known(size, "padding") + a + b for size, a, b in zip(x.shape, before, after, strict=True)
    )
    return c.node("Pad", [x, c.integers([*before, *after])], shape, mode=mode)


def pads_of(padding: Any, sizes: list[int], reach: list[int], strides: Any) -> tuple[list[int], list[int]]:
    """How much is padded before and after each axis. `reach`: how far a window extends beyond its first place."""
    if padding == "VALID":
        return [0] * len(sizes), [0] * len(sizes)
    if padding == "CAUSAL":
        return list(reach), [0] * len(sizes)
    if padding in ("SAME", "SAME_LOWER"):
        total = [
            max((-(-size // stride) - 1) * stride + far + 1 - size, 0)
            for size, far, stride in zip(sizes, reach, strides, strict=True)
        ]
        less, more = [amount // 2 for amount in total], [amount - amount // 2 for amount in total]
        return (less, more) if padding == "SAME" else (more, less)
    if isinstance(padding, str):
        raise Untranslatable(f"padding {padding!r}")
    return [int(item[0]) for item in padding], [int(item[1]) for item in padding]


@primitive("layer:conv_transpose")
def transposed_convolution(c: Call) -> Result:
    """Flax dilates the input and correlates with the kernel as it is; ONNX's operator turns the kernel around."""
    from assay.write.weights import flip

    kernel, x = _shape(c, 1), c.tensor(0)
    rank = len(kernel) - 2
    strides, dilations = c["strides"], c["dilations"]
    reach = [dilation * (size - 1) for dilation, size in zip(dilations, kernel, strict=False)]
    pairs = _transposed_pads(c["padding"], reach, strides)
    before = [far - pair[0] for far, pair in zip(reach, pairs, strict=True)]
    after = [far - pair[1] for far, pair in zip(reach, pairs, strict=True)]
    extra = [max(-amount, 0) for amount in after]
    if any(amount < 0 for amount in before) or any(more >= stride for more, stride in zip(extra, strides, strict=True)):
        raise Untranslatable("a transposed convolution that is padded by more than its kernel")
    held = c.weight(1)
    if held is None:
        raise Untranslatable("a transposed convolution whose kernel is computed or shared")
    spatial = tuple(range(rank))
    if c["transpose_kernel"]:  # (…, out, in), to be turned around, which ONNX does
        weight = held.form(c.tracer, transpose(rank + 1, rank, *spatial))
    else:
        weight = held.form(c.tracer, flip(*spatial), transpose(rank, rank + 1, *spatial))
    y = c.node(
        "ConvTranspose",
        [c.channels_first(x), weight, *([c.tensor(2)] if len(c) > 2 else [])],
        (c.shape[0], c.shape[-1], *c.shape[1:-1]),
        kernel_shape=list(kernel[:rank]),
        strides=list(strides),
        pads=[*before, *(max(amount, 0) for amount in after)],
        dilations=list(dilations),
        output_padding=extra,
        group=1,
    )
    return c.channels_last(y)


def _transposed_pads(padding: Any, reach: list[int], strides: Any) -> list[tuple[int, int]]:
    """The padding of the dilated input that jax's transposed convolution has."""
    if not isinstance(padding, str):
        return [(int(item[0]), int(item[1])) for item in padding]
    found = []
    for far, stride in zip(reach, strides, strict=True):
        size = far + 1
        if padding == "SAME":
            total = size + stride - 2
            first = size - 1 if stride > size - 1 else -(-total // 2)
        elif padding == "VALID":
            total, first = size + stride - 2 + max(size - stride, 0), size - 1
        else:
            raise Untranslatable(f"padding {padding!r}")
        found.append((first, total - first))
    return found


@primitive("layer:embed")
def embedding(c: Call) -> Result:
    return c.result("Gather", [c.tensor(1), c.tensor(0)], axis=0)


def _scale_and_offset(c: Call, given: list[Tensor], channels: int) -> list[Tensor]:
    """Scale and offset; those that the layer does without are numbers that are not trained."""
    present = list(c["present"])
    rest = iter(given)
    return [
        next(rest) if there else c.tracer.constant(np.full(channels, fill, c.dtype))
        for there, fill in zip(present, (1.0, 0.0), strict=False)
    ]


@primitive("layer:batch_norm")
def batch_norm(c: Call) -> Result:
    x = c.tensor(0)
    channels = known(x.shape[-1], "batch normalisation")
    mean, var = c.tensor(1), c.tensor(2)
    if not all(c["present"]):
        c.tracer.note("batch normalisation without a scale or an offset: code for other frameworks may train one")
    scale, offset = _scale_and_offset(c, [c.tensor(place) for place in range(3, len(c))], channels)
    first = c.channels_first(x)
    options = {"epsilon": c["epsilon"], "momentum": c["momentum"]}
    y = c.node("BatchNormalization", [first, scale, offset, mean, var], first.shape, c.dtype, **options)
    return c.channels_last(y)


@primitive("layer:layer_norm")
def layer_norm(c: Call) -> Result:
    x, given = c.tensor(0), [c.tensor(place) for place in range(1, len(c))]
    has_scale, has_offset = c["present"]
    size = known(x.shape[-1], "layer normalisation")
    scale = given.pop(0) if has_scale else c.tracer.constant(np.ones(size, c.dtype))
    return c.result("LayerNormalization", [x, scale, *(given if has_offset else [])], axis=-1, epsilon=c["epsilon"])


@primitive("layer:rms_norm")
def rms_norm(c: Call) -> Result:
    x = c.tensor(0)
    size = known(x.shape[-1], "normalisation")
    scale = c.tensor(1) if len(c) > 1 else c.tracer.constant(np.ones(size, c.dtype))
    return c.result("RMSNormalization", [x, scale], axis=-1, epsilon=c["epsilon"])


@primitive("layer:group_norm")
def group_norm(c: Call) -> Result:
    x = c.tensor(0)
    channels = known(x.shape[-1], "normalisation")
    given = _scale_and_offset(c, [c.tensor(place) for place in range(1, len(c))], channels)
    first = c.channels_first(x)
    options = {"num_groups": c["groups"], "epsilon": c["epsilon"]}
    return c.channels_last(c.node("GroupNormalization", [first, *given], first.shape, c.dtype, **options))


@primitive("layer:dropout")
def dropout(c: Call) -> Result:
    if c["broadcast"]:
        c.tracer.note("dropout of whole rows or channels becomes dropout of single elements")
    return c.result("Dropout", [c.tensor(0), c.tracer.constant(np.array(c["rate"], np.float32))])


@primitive("layer:prelu")
def prelu(c: Call) -> Result:
    x, slope = c.tensor(0), c.tensor(1)
    return c.result("PRelu", [x, c.reshape(slope, (1,)) if slope.rank == 0 else slope])


@primitive("layer:attention")
def attention(c: Call) -> Result:
    """(batch, steps, heads, size) → the same, with heads side by side in between as the operator takes them."""
    query, key, value = (c.tensor(place) for place in range(3))
    if c["dropout"]:
        c.tracer.note(f"dropout of {c['dropout']} on the weights of attention is not written for training")
    heads, shared = known(query.shape[2], "attention"), known(key.shape[2], "attention")
    packed = [c.reshape(item, (*item.shape[:2], volume(item.shape[2:]))) for item in (query, key, value)]
    options: dict[str, Any] = {"q_num_heads": heads, "kv_num_heads": shared, "is_causal": int(c["causal"])}
    size = known(query.shape[3], "attention")
    if c["scale"] is not None and c["scale"] != size**-0.5:
        options["scale"] = c["scale"]
    mask: Tensor | None = None
    if len(c) > 3:
        seen = c.known(3)
        if seen is not None and _is_causal(seen != 0) and query.shape[1] == key.shape[1]:
            options["is_causal"] = 1
        else:  # numbers that are not zero say what is seen
            mask = c.cast(c.tensor(3), "bool") if seen is None else c.constant(seen != 0)
    inputs = packed if mask is None else [*packed, mask]
    shape = (*query.shape[:2], heads * known(value.shape[3], "attention"))
    return c.reshape(c.node("Attention", inputs, shape, c.dtype, **options), c.shape)


def _is_causal(mask: np.ndarray) -> bool:
    """Whether each step sees itself and what came before, in every example and head."""
    rows, columns = mask.shape[-2:]
    return bool((mask == np.tril(np.ones((rows, columns), bool))).all())
