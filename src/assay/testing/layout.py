"""Images that meet operators with axes: what a framework that stores channels last must map.

Every net begins with a convolution `conv` from 4 to 6 channels on an image of 9 × 8.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from assay import nn
from assay.testing.case import IMAGE, Case, Net

Forward = Callable[[Any, nn.Tensor], nn.Tensor]
Layers = dict[str, nn.Module | nn.Parameter]


def _case(name: str, forward: Forward, more: Callable[[], Layers] = dict) -> Case:
    return Case(f"layout-{name}", lambda: Net(forward, conv=nn.Conv2d(4, 6, 3, padding=1), **more()), IMAGE)


def _to_conv(name: str, between: Callable[[nn.Tensor], nn.Tensor], channels: int = 6) -> Case:
    """An operator between two convolutions, where no transpose is needed at all."""
    return _case(name, lambda net, x: net.last(between(net.conv(x))), lambda: {"last": nn.Conv2d(channels, 3, 1)})


# ---------------------------------------------------------------------------------------------- reductions and parts


def _gated(x: nn.Tensor) -> nn.Tensor:
    value, gate = nn.split(x, 2, 1)
    return value * nn.sigmoid(gate)


def _halves_added(x: nn.Tensor) -> nn.Tensor:
    left, right = nn.split(x, 2, 3)
    return left + right


def _reductions() -> list[Case]:
    axes: dict[str, tuple[tuple[int, ...], bool]] = {
        "places": ((2, 3), False),
        "channels": ((1,), False),
        "channels_kept": ((1,), True),
        "height": ((2,), False),
        "all": ((1, 2, 3), False),
        "width_kept": ((3,), True),
    }
    functions = {"mean": nn.mean, "largest": nn.largest, "total": nn.total}

    def case(name: str, function: Callable[..., nn.Tensor], over: tuple[int, ...], keep: bool) -> Case:
        return _case(name, lambda net, x: function(net.conv(x), over, keep))

    return [
        case(f"{name}_{where}", function, *choice)
        for where, choice in axes.items()
        for name, function in functions.items()
    ]


_PARTS: tuple[Case, ...] = (
    _to_conv("softmax_channels", lambda x: nn.softmax(x, 1)),
    _to_conv("log_softmax_width", lambda x: nn.log_softmax(x, 3)),
    _to_conv("split_channels", _gated, 3),
    _to_conv("split_width", _halves_added),
    _to_conv("narrow_channels", lambda x: nn.narrow(x, 1, 1, 4), 3),
    _to_conv("narrow_height", lambda x: nn.narrow(x + 1.0, 2, 0, 4)),
    _to_conv("narrow_width", lambda x: nn.narrow(x, 3, 2, 8)),
    _to_conv("pad", lambda x: nn.pad(x, [(0, 0), (1, 0), (0, 2), (3, 0)], 0.5), 7),
    _to_conv("transpose_height_width", lambda x: nn.transpose(x, (0, 1, 3, 2))),
    _to_conv("unsqueeze_mean", lambda x: nn.unsqueeze(nn.mean(x, 2), 2)),
    _case(
        "concat_channels",
        lambda net, x: net.last(nn.concat([net.conv(x), nn.relu(net.other(x))], 1)),
        lambda: {"other": nn.Conv2d(4, 2, 1), "last": nn.Conv2d(8, 3, 1)},
    ),
    _case(
        "concat_height",
        lambda net, x: net.last(nn.concat([net.conv(x), net.other(x)], 2)),
        lambda: {"other": nn.Conv2d(4, 6, 1), "last": nn.Conv2d(6, 3, 1)},
    ),
    _case(
        "squeeze_height",
        lambda net, x: net.linear(nn.squeeze(nn.mean(net.conv(x), 2, True), 2)),
        lambda: {"linear": nn.Linear(8, 3)},
    ),
    _case(
        "squeeze_channels",
        lambda net, x: net.linear(nn.squeeze(net.one(net.conv(x)), 1)),
        lambda: {"one": nn.Conv2d(6, 1, 1), "linear": nn.Linear(8, 3)},
    ),
    _case(
        "squeeze_to_series",
        lambda net, x: net.series(nn.squeeze(nn.mean(net.conv(x), 2, True), 2)),
        lambda: {"series": nn.Conv1d(6, 3, 3)},
    ),
)

# ------------------------------------------------------------------------------------ to rows, tokens and back again


def _convnext(net: Any, x: nn.Tensor) -> nn.Tensor:
    image = net.conv(x)
    last = net.norm(nn.transpose(image, (0, 2, 3, 1)))
    mixed = net.narrower(nn.gelu(net.wider(last)))
    result: nn.Tensor = net.last(image + nn.transpose(mixed, (0, 3, 1, 2)))
    return result


def _shuffled_channels(x: nn.Tensor) -> nn.Tensor:
    groups = nn.reshape(x, (0, 2, 3, 9, 8))
    return nn.reshape(nn.transpose(groups, (0, 2, 1, 3, 4)), (0, 6, 9, 8))


def _similarity(net: Any, x: nn.Tensor) -> nn.Tensor:
    rows = nn.reshape(net.conv(x), (0, 6, 72))
    return nn.softmax(nn.transpose(rows, (0, 2, 1)) @ rows, -1)


_ROWS: tuple[Case, ...] = (
    _case(
        "channels_to_linear",
        lambda net, x: net.linear(nn.transpose(net.conv(x), (0, 2, 3, 1))),
        lambda: {"linear": nn.Linear(6, 5)},
    ),
    _case(
        "patches",
        lambda net, x: net.norm(net.linear(nn.transpose(nn.reshape(net.conv(x), (0, 6, -1)), (0, 2, 1)))),
        lambda: {"linear": nn.Linear(6, 5), "norm": nn.LayerNorm(5)},
    ),
    _case(
        "convnext_block",
        _convnext,
        lambda: {
            "norm": nn.LayerNorm(6),
            "wider": nn.Linear(6, 12),
            "narrower": nn.Linear(12, 6),
            "last": nn.Conv2d(6, 3, 1),
        },
    ),
    _case(
        "attention_over_places",
        lambda net, x: net.linear(net.attention(nn.transpose(nn.reshape(net.conv(x), (0, 6, 72)), (0, 2, 1)))),
        lambda: {"attention": nn.MultiHeadAttention(6, 2), "linear": nn.Linear(6, 2)},
    ),
    _case("product_of_places", _similarity),
    _case(
        "shuffled_channels",
        lambda net, x: net.last(_shuffled_channels(net.conv(x))),
        lambda: {"last": nn.Conv2d(6, 6, 3, groups=2)},
    ),
    _case(
        "flatten_linear",
        lambda net, x: net.linear(net.dropout(nn.relu(nn.flatten(nn.relu(net.conv(x)))))) + 1.0,
        lambda: {"linear": nn.Linear(432, 5), "dropout": nn.Dropout(0.3)},
    ),
    _case(
        "flatten_sum",
        lambda net, x: net.linear(nn.flatten(net.conv(x) + net.other(x))),
        lambda: {"linear": nn.Linear(432, 5), "other": nn.Conv2d(4, 6, 1)},
    ),
    _case(
        "flatten_two_heads",
        lambda net, x: net.left(nn.flatten(net.conv(x))) * nn.tanh(net.right(nn.flatten(net.other(x)))),
        lambda: {"left": nn.Linear(432, 5), "right": nn.Linear(432, 5), "other": nn.Conv2d(4, 6, 1)},
    ),
    _case("flatten_no_linear", lambda net, x: nn.tanh(nn.flatten(net.conv(x)))),
)

# ------------------------------------------------------------------------------ several values of different ranks


def _squeeze_and_excite(net: Any, x: nn.Tensor) -> nn.Tensor:
    image = net.conv(x)
    scale = nn.sigmoid(net.up(nn.relu(net.down(nn.mean(image, (2, 3), True)))))
    result: nn.Tensor = net.last(image * scale)
    return result


def _excite_by_linear(net: Any, x: nn.Tensor) -> nn.Tensor:
    image = net.conv(x)
    scale = nn.sigmoid(net.linear(nn.mean(image, (2, 3))))
    result: nn.Tensor = net.last(image * nn.unsqueeze(nn.unsqueeze(scale, 2), 3))
    return result


def _spatial_attention(net: Any, x: nn.Tensor) -> nn.Tensor:
    image = net.conv(x)
    seen = nn.concat([nn.mean(image, 1, True), nn.largest(image, 1, True)], 1)
    result: nn.Tensor = net.last(image * nn.sigmoid(net.gate(seen)))
    return result


def _elementwise(net: Any, x: nn.Tensor) -> nn.Tensor:
    other = net.other(x)
    result: nn.Tensor = net.last(nn.maximum(net.conv(x) * 0.5 - other / 2.0, -other))
    return result


_MIXED: tuple[Case, ...] = (
    _case(
        "squeeze_and_excite",
        _squeeze_and_excite,
        lambda: {"down": nn.Conv2d(6, 2, 1), "up": nn.Conv2d(2, 6, 1), "last": nn.Conv2d(6, 3, 1)},
    ),
    _case(
        "excite_by_linear",
        _excite_by_linear,
        lambda: {"linear": nn.Linear(6, 6), "last": nn.Conv2d(6, 3, 1)},
    ),
    _case(
        "spatial_attention",
        _spatial_attention,
        lambda: {"gate": nn.Conv2d(2, 1, 3, padding=1), "last": nn.Conv2d(6, 3, 1)},
    ),
    _case("elementwise", _elementwise, lambda: {"other": nn.Conv2d(4, 6, 1), "last": nn.Conv2d(6, 3, 3)}),
    _case(
        "parameters",
        lambda net, x: net.last(net.conv(x) * net.gain + net.offset),
        lambda: {
            "gain": nn.Parameter((6, 1, 1), nn.normal(1.0)),
            "offset": nn.Parameter((1, 6, 9, 8), nn.normal(1.0)),
            "last": nn.Conv2d(6, 3, 1),
        },
    ),
    _case(
        "parameter_of_width",
        lambda net, x: net.last(net.conv(x) + net.offset),
        lambda: {"offset": nn.Parameter((8,), nn.normal(1.0)), "last": nn.Conv2d(6, 3, 1)},
    ),
    Case(
        "layout-image_without_channels",
        lambda: Net(lambda net, x: net.conv(nn.unsqueeze(x, 1)), conv=nn.Conv2d(1, 3, 3)),
        (9, 8),
    ),
    Case(
        "layout-row_as_series",
        lambda: Net(lambda net, x: net.conv(nn.unsqueeze(x, 2)), conv=nn.Conv1d(9, 3, 1)),
        (9,),
    ),
)

CASES: tuple[Case, ...] = (*_PARTS, *_reductions(), *_ROWS, *_MIXED)
