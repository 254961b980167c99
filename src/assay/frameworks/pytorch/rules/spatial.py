"""Convolutions and pools, of one to three spatial axes."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from assay.errors import UnsupportedError
from assay.frameworks.pytorch.rules.common import (
    TABLE,
    arguments_of,
    call_layer,
    emit_wanted,
    given,
    numbers,
    one_or_all,
    rank_of,
    sizes_known,
    targets,
    type_of,
)
from assay.graph.calls import Call
from assay.model import shape_of
from assay.write.body import Builder
from assay.write.table import Argument, NativeWeight, keyword, positional


@dataclass
class Window:
    """How a kernel moves over its data. `same`: "upper" or "lower" where the padding is not known beforehand."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    before: list[int]
    after: list[int]
    same: str | None = None

    @property
    def rank(self) -> int:
        return len(self.kernel)

    @property
    def even(self) -> bool:
        """Whether there is as much padding before as after."""
        return self.before == self.after and self.same is None


def window_of(call: Call, kernel: list[int], x: ir.Value) -> Window:
    """The window that a node's attributes describe."""
    rank = len(kernel)
    strides = list(call.attribute("strides") or [1] * rank)
    dilations = list(call.attribute("dilations") or [1] * rank)
    pads = list(call.attribute("pads") or [0] * 2 * rank)
    auto = call.attribute("auto_pad", "NOTSET")
    if auto == "VALID":
        pads = [0] * 2 * rank
    window = Window(kernel, strides, dilations, pads[:rank], pads[rank:])
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        sizes = sizes_known(x)
        window.same = auto.removeprefix("SAME_").lower()
        if sizes is not None:
            for axis, size in enumerate(sizes[2:]):
                reach = (kernel[axis] - 1) * dilations[axis] + 1
                total = max((-(-size // strides[axis]) - 1) * strides[axis] + reach - size, 0)
                less, more = total // 2, total - total // 2
                window.before[axis], window.after[axis] = (less, more) if window.same == "upper" else (more, less)
            window.same = None
    return window


def is_one_layer(call: Call) -> bool:
    """Whether a convolution or pool is a layer of torch's and nothing more."""
    auto = call.attributes.get("auto_pad", "NOTSET")
    pads = call.attributes.get("pads") or []
    half = len(pads) // 2
    if auto not in ("NOTSET", "VALID") or (pads[:half] != pads[half:] and call.kind != "ConvTranspose"):
        return False
    if call.kind == "Conv":
        return True
    if call.kind == "ConvTranspose":
        return "output_shape" not in call.attributes and not any(_cut_of(call))
    floating = call.x.dtype is None or call.x.dtype.is_floating_point()
    small = all(2 * pad <= size for pad, size in zip(pads, call.attributes["kernel_shape"], strict=False))
    plain = call.kind == "MaxPool" or set(call.attributes.get("dilations") or [1]) == {1}
    return floating and small and plain and len(call.outputs) == 1


def _cut_of(call: Call) -> list[int]:
    return _transposed_window(call, _kernel(call, call.weights["weight"]))[2]


def padded(w: Builder, x: str, window: Window, value: str = "") -> str:
    """x with the window's padding around it; the window has none afterwards."""
    fill = f", value={value}" if value else ""
    if window.same is not None:
        more = arguments_of(
            str(tuple(window.kernel)),
            str(tuple(window.strides)),
            str(tuple(window.dilations)),
            "lower=True" if window.same == "lower" else None,
        )
        text = f"pad_same({x}, {more}{fill})"
    else:
        amounts = tuple(
            amount for axis in reversed(range(window.rank)) for amount in (window.before[axis], window.after[axis])
        )
        text = f"F.pad({x}, {amounts}{fill})"
    window.same, window.before, window.after = None, [0] * window.rank, [0] * window.rank
    result = w.temporary("x")
    w.emit(result, text, light=True)
    return w.use(result)


def _rank(call: Call) -> int:
    """The number of spatial axes."""
    for value in (call.x, call.inputs[1] if len(call.inputs) > 1 else None):
        if value is not None and value.shape is not None:
            return len(value.shape) - 2
    for name, share in (("kernel_shape", 1), ("strides", 1), ("dilations", 1), ("pads", 2)):
        if found := call.attribute(name):
            return len(found) // share
    raise UnsupportedError(f"{call.kind} of data of unknown rank cannot be written", [f"{call.kind}: unknown rank"])


def _kernel(call: Call, weight: ir.Value | None) -> list[int]:
    kernel = call.attribute("kernel_shape")
    if kernel is not None:
        return list(kernel)
    sizes = None if weight is None else sizes_known(weight)
    if sizes is None and call.attribute("auto_pad", "NOTSET").startswith("SAME"):
        raise UnsupportedError(
            f"{call.kind} with automatic padding for a kernel of unknown size cannot be written",
            [f"{call.kind}: auto_pad"],
        )
    if sizes is None:
        return [1] * _rank(call)  # of which only the length matters
    return [int(size) for size in sizes[2:]]


def _options(window: Window, *more: tuple[str, object, object]) -> str:
    """Arguments of a functional convolution, those left out that are as torch has them."""
    listed = [
        ("stride", one_or_all(window.strides), 1),
        ("padding", one_or_all(window.before), 0),
        ("dilation", one_or_all(window.dilations), 1),
        *more,
    ]
    return "".join(f", {name}={value}" for name, value, default in listed if value != default)


@TABLE.rule("Conv")
def convolution(call: Call, w: Builder) -> None:
    weight, bias = call.weights["weight"], call.weights.get("bias")
    shape = [int(size) for size in shape_of(weight)]
    group = call.attribute("group", 1)
    window = window_of(call, _kernel(call, weight), call.x)
    x = w.array(call.x)
    if not window.even:
        x = padded(w, x, window)
    arguments = [
        positional(shape[1] * group, "in_channels"),
        positional(shape[0], "out_channels"),
        positional(one_or_all(shape[2:]), "kernel_size"),
        keyword("stride", one_or_all(window.strides), 1),
        keyword("padding", one_or_all(window.before), 0),
        keyword("dilation", one_or_all(window.dilations), 1),
        keyword("groups", group, 1),
        keyword("bias", bias is not None, True),
    ]
    weights = [NativeWeight("weight", weight)] + ([NativeWeight("bias", bias)] if bias is not None else [])
    layer = w.layer(f"nn.Conv{window.rank}d", arguments, weights)
    w.emit(call.y, f"{layer}({x})", light=True)


@TABLE.rule("FunctionalConv")
def functional_convolution(call: Call, w: Builder) -> None:
    weight = call.inputs[1]
    window = window_of(call, _kernel(call, weight), call.x)
    group = call.attribute("group", 1)
    x = w.array(call.x)
    if not window.even:
        x = padded(w, x, window)
    bias = call.computed(2)
    operands = arguments_of(x, w.array(weight), None if bias is None else w.array(bias))
    w.emit(call.y, f"F.conv{_rank(call)}d({operands}{_options(window, ('groups', group, 1))})", light=True)


@TABLE.rule("ConvTranspose")
def transposed_convolution(call: Call, w: Builder) -> None:
    weight, bias = call.weights["weight"], call.weights.get("bias")
    shape = [int(size) for size in shape_of(weight)]
    group = call.attribute("group", 1)
    window, extra, cut = _transposed_window(call, _kernel(call, weight))
    arguments = [
        positional(shape[0], "in_channels"),
        positional(shape[1] * group, "out_channels"),
        positional(one_or_all(shape[2:]), "kernel_size"),
        keyword("stride", one_or_all(window.strides), 1),
        keyword("padding", one_or_all(window.before), 0),
        keyword("output_padding", one_or_all(extra), 0),
        keyword("dilation", one_or_all(window.dilations), 1),
        keyword("groups", group, 1),
        keyword("bias", bias is not None, True),
    ]
    weights = [NativeWeight("weight", weight)] + ([NativeWeight("bias", bias)] if bias is not None else [])
    layer = w.layer(f"nn.ConvTranspose{window.rank}d", arguments, weights)
    _emit_cut(call, w, f"{layer}({w.array(call.x)})", cut)


@TABLE.rule("FunctionalConvTranspose")
def functional_transposed(call: Call, w: Builder) -> None:
    weight, bias = call.inputs[1], call.computed(2)
    window, extra, cut = _transposed_window(call, _kernel(call, weight))
    operands = arguments_of(w.array(call.x), w.array(weight), None if bias is None else w.array(bias))
    more = _options(window, ("output_padding", one_or_all(extra), 0), ("groups", call.attribute("group", 1), 1))
    _emit_cut(call, w, f"F.conv_transpose{window.rank}d({operands}{more})", cut)


def _emit_cut(call: Call, w: Builder, text: str, cut: list[int]) -> None:
    if len(cut) == _rank(call):  # sizes, where it is not known how much of the result they leave
        upper = ", upper=True" if call.attribute("auto_pad", "NOTSET") == "SAME_UPPER" else ""
        text = f"cut_to_size({text}, {tuple(cut)}{upper})"
    elif any(cut):
        text = f"F.pad({text}, {tuple(cut)})"
    w.emit(call.y, text, light=True)


def _transposed_window(call: Call, kernel: list[int]) -> tuple[Window, list[int], list[int]]:
    """The window, torch's output padding, and what must be cut (a negative padding) where torch cannot pad unevenly."""
    rank = len(kernel)
    auto, wanted = call.attribute("auto_pad", "NOTSET"), call.attribute("output_shape")
    more = list(call.attribute("output_padding") or [0] * rank)
    strides = list(call.attribute("strides") or [1] * rank)
    dilations = list(call.attribute("dilations") or [1] * rank)
    pads = list(call.attribute("pads") or [0] * 2 * rank)
    before, after = pads[:rank], pads[rank:]
    if wanted is not None or auto.startswith("SAME"):
        for axis in range(rank):
            reach = (kernel[axis] - 1) * dilations[axis] + 1
            if wanted is None:  # as large as the stride says
                total = reach + more[axis] - strides[axis]
            else:
                sizes = sizes_known(call.x)
                if sizes is None:
                    return Window(kernel, strides, dilations, [0] * rank, [0] * rank), more, list(wanted[-rank:])
                total = strides[axis] * (sizes[axis + 2] - 1) + more[axis] + reach - wanted[-rank:][axis]
            half = max(total, 0) // 2
            before[axis] = half if auto == "SAME_UPPER" else max(total, 0) - half
            after[axis] = total - before[axis]
    extra = [a - b + c for a, b, c in zip(before, after, more, strict=True)]
    native = all(0 <= e < max(s, d) or e == 0 for e, s, d in zip(extra, strides, dilations, strict=True))
    if native and min(before) >= 0:
        return Window(kernel, strides, dilations, before, before), extra, [0] * 2 * rank
    cut = []
    for axis in reversed(range(rank)):  # all of the result, cut afterwards
        cut += [-before[axis], -after[axis] + max(more[axis] - max(strides[axis], dilations[axis]) + 1, 0)]
    limits = [min(m, max(s, d) - 1) for m, s, d in zip(more, strides, dilations, strict=True)]
    return Window(kernel, strides, dilations, [0] * rank, [0] * rank), limits, cut


@TABLE.rule("MaxPool")
def max_pool(call: Call, w: Builder) -> None:
    window = window_of(call, list(call.attribute("kernel_shape")), call.x)
    ceil, columns = bool(call.attribute("ceil_mode", 0)), bool(call.attribute("storage_order", 0))
    x = w.array(call.x)
    outputs = targets(call)
    if len(outputs) > 1 and outputs[1] is not None:
        more = _listed(window, f"ceil_mode={ceil}" if ceil else None, "column_major=True" if columns else None)
        return w.emit(outputs, f"max_pool_with_places({x}, {more})")
    small = all(2 * pad <= size for pad, size in zip(window.before, window.kernel, strict=True))
    floating = call.x.dtype is None or call.x.dtype.is_floating_point()
    x = x if floating else f"{x}.double()"
    if not window.even or not small:
        if ceil:
            _make_exact(call, window)
            ceil = False
        x = padded(w, x, window, 'float("-inf")')
    arguments = [
        positional(one_or_all(window.kernel), "kernel_size"),
        keyword("stride", one_or_all(window.strides), one_or_all(window.kernel)),
        keyword("padding", one_or_all(window.before), 0),
        keyword("dilation", one_or_all(window.dilations), 1),
        keyword("ceil_mode", ceil, False),
    ]
    layer = w.layer(f"nn.MaxPool{window.rank}d", arguments, [])
    w.emit(call.y, f"{layer}({x})" + ("" if floating else f".to({type_of(call.x)})"), light=True)


def _make_exact(call: Call, window: Window) -> None:
    """Padding after the data with which rounding down counts as many windows as rounding up would."""
    sizes = sizes_known(call.x)
    if sizes is None:
        raise UnsupportedError("a pool with ceil_mode over data of unknown size", [f"{call.kind}: ceil_mode"])
    for axis, size in enumerate(sizes[2:]):
        reach = (window.kernel[axis] - 1) * window.dilations[axis] + 1
        stride, before = window.strides[axis], window.before[axis]
        count = -(-(size + before + window.after[axis] - reach) // stride) + 1
        if (count - 1) * stride >= size + before:
            count -= 1
        window.after[axis] = (count - 1) * stride + reach - size - before


def _listed(window: Window, *more: str | None) -> str:
    """A window as the arguments of a local function."""
    rank = window.rank
    padding = [*window.before, *window.after]
    return arguments_of(
        str(tuple(window.kernel)),
        f"strides={tuple(window.strides)}" if window.strides != [1] * rank else None,
        f'pads="{window.same}"' if window.same else f"pads={tuple(padding)}" if any(padding) else None,
        f"dilations={tuple(window.dilations)}" if window.dilations != [1] * rank else None,
        *more,
    )


@TABLE.rule("AveragePool")
def average_pool(call: Call, w: Builder) -> None:
    window = window_of(call, list(call.attribute("kernel_shape")), call.x)
    ceil, counted = bool(call.attribute("ceil_mode", 0)), bool(call.attribute("count_include_pad", 0))
    small = all(2 * pad <= size for pad, size in zip(window.before, window.kernel, strict=True))
    if window.even and small and set(window.dilations) == {1}:
        arguments: list[Argument] = [
            positional(one_or_all(window.kernel), "kernel_size"),
            keyword("stride", one_or_all(window.strides), one_or_all(window.kernel)),
            keyword("padding", one_or_all(window.before), 0),
            keyword("ceil_mode", ceil, False),
        ]
        if any(window.before) or counted:
            arguments.append(keyword("count_include_pad", counted, True))
        return call_layer(call, w, f"nn.AvgPool{window.rank}d", arguments, [])
    x = w.array(call.x)
    more = _listed(window, "ceil_mode=True" if ceil else None, "count_padding=True" if counted else None)
    w.emit(call.y, f"average_windows({x}, {more})", light=True)


@TABLE.rule("LpPool")
def lp_pool(call: Call, w: Builder) -> None:
    window = window_of(call, list(call.attribute("kernel_shape")), call.x)
    power, ceil = call.attribute("p", 2), bool(call.attribute("ceil_mode", 0))
    more = _listed(window, "ceil_mode=True" if ceil else None)
    w.emit(call.y, f"norm_of_windows({w.array(call.x)}, {power}, {more})", light=True)


@TABLE.rule("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(call: Call, w: Builder) -> None:
    x, rank = w.array(call.x), rank_of(call.x)
    axes = f"tuple(range(2, {x}.ndim))" if rank is None else str(tuple(range(2, rank)))
    if call.kind == "GlobalLpPool":
        text = f"torch.linalg.vector_norm({x}, {call.attribute('p', 2)}, dim={axes}, keepdim=True)"
        return w.emit(call.y, text, light=True)
    name = "mean" if call.kind == "GlobalAveragePool" else "amax"
    w.emit(call.y, f"{w.array(call.x, 100)}.{name}(dim={axes}, keepdim=True)", light=True)


@TABLE.rule("MaxUnpool")
def max_unpool(call: Call, w: Builder) -> None:
    window = window_of(call, list(call.attribute("kernel_shape")), call.x)
    shape = numbers(call, w, 2)
    more = _listed(window, f"shape={shape}" if shape is not None else None)
    w.emit(call.y, f"unpool_to_places({w.array(call.x)}, {w.array(call.inputs[1])}, {more})")


@TABLE.rule("Col2Im")
def columns_to_image(call: Call, w: Builder) -> None:
    size, block = numbers(call, w, 1), numbers(call, w, 2)
    options = [f"{name}={tuple(found)}" for name in ("dilations", "pads", "strides") if (found := call.attribute(name))]
    w.emit(call.y, f"columns_to_image({arguments_of(w.array(call.x), size, block, *options)})", light=True)


@TABLE.rule("DeformConv")
def deformable_convolution(call: Call, w: Builder) -> None:
    window = window_of(call, _kernel(call, call.inputs[1]), call.x)
    group, groups = call.attribute("group", 1), call.attribute("offset_group", 1)
    operands = [w.array(value) for value in call.inputs[:3]]
    options = [
        f"{name}={w.array(value)}"
        for name, slot in (("bias", 3), ("mask", 4))
        if (value := call.computed(slot)) is not None
    ]
    options += [f"groups={group}"] if group != 1 else []
    options += [f"offset_groups={groups}"] if groups != 1 else []
    listed = _listed(window).partition("), ")[2] if ")" in _listed(window) else ""
    w.emit(call.y, f"deformable_conv2d({arguments_of(*operands, *options, listed)})")


@TABLE.rule("ConvInteger", "QLinearConv")
def integer_convolution(call: Call, w: Builder) -> None:
    linear = call.kind == "QLinearConv"
    weight = call.inputs[3 if linear else 1]
    window = window_of(call, _kernel(call, weight), call.x)
    group = call.attribute("group", 1)
    rank = _rank(call) if not linear else window.rank
    zeros = (2, 5) if linear else (2, 3)
    x = w.temporary("x")
    w.emit(x, _centred(call, w, call.x, zeros[0]))
    text = w.use(x)
    if not window.even:
        text = padded(w, text, window)
    filters = _centred(call, w, weight, zeros[1], shaped=f"(-1{', 1' * (rank + 1)})")
    # In float64 the sums of these products of small integers are exact.
    product = f"F.conv{rank}d({text}, {filters}{_options(window, ('groups', group, 1))})"
    if not linear:
        return w.emit(call.y, f"{product}.to({type_of(call.y)})")
    sums = w.temporary("y")
    bias = call.computed(8)
    added = "" if bias is None else f" + {w.array(bias)}.reshape(-1{', 1' * rank})"
    w.emit(sums, f"{product}{added}")
    scales = f"({w.array(call.inputs[1])}.double() * {w.array(call.inputs[4])}.double()).reshape(-1{', 1' * rank})"
    low, high = (0, 255) if call.y.dtype == ir.DataType.UINT8 else (-128, 127)
    target = f"{w.array(call.inputs[6])}.double(), {w.array(call.inputs[7])}, {low}, {high}, {type_of(call.y)}"
    w.emit(call.y, f"quantize({w.use(sums)} * {scales}, {target})")


def _centred(call: Call, w: Builder, value: ir.Value | None, slot: int, shaped: str = "") -> str:
    """Quantised numbers without their zero point."""
    text = f"{w.array(value)}.double()"
    if not given(call, slot):
        return text
    zero = call.inputs[slot]
    place = shaped if zero is not None and rank_of(zero) != 0 else ""
    return f"{text} - {w.array(zero)}.double(){f'.reshape{place}' if place else ''}"


@TABLE.rule("CausalConvWithState")
def causal_convolution(call: Call, w: Builder) -> None:
    activation = call.attribute("activation", "none")
    names = ("bias", "state")
    options = [
        f"{name}={w.array(value)}" for slot, name in enumerate(names, 2) if (value := call.computed(slot)) is not None
    ]
    options += ["silu=True"] if activation in ("silu", "swish") else []
    operands = [w.array(value) for value in call.inputs[:2]]
    emit_wanted(w, targets(call), f"convolve_causally({arguments_of(*operands, *options)})", 2)
