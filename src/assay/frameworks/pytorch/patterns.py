"""What PyTorch's rules look for around a call, where a fluent person writes less than one call after another."""

from __future__ import annotations

import onnx_ir as ir

from assay.model import attributes_of, scope_of, shape_of
from assay.write.body import Builder

# New arrays that their own gradients do not read again.
_FRESH = frozenset({"Conv", "ConvTranspose", "BatchNormalization", "GroupNormalization", "Add"})


def is_free(value: ir.Value, w: Builder) -> bool:
    """Whether an image that the module itself has made may be overwritten: no one else and no gradient needs it."""
    producer = value.producer()
    return (
        producer is not None
        and producer.op_type in _FRESH
        and value.shape is not None
        and len(value.shape) >= 4
        and len(list(value.uses())) == 1
        and not value.is_graph_output()
        and all(value is not given for given in w.frame.inputs())
    )


def overwritable(terms: list[ir.Value], w: Builder) -> tuple[ir.Value, ir.Value] | None:
    """The terms of a sum of images, first the one whose memory the sum may take. It spares the making of a new array."""
    if len(terms) != 2 or any(term.shape is None for term in terms) or shape_of(terms[0]) != shape_of(terms[1]):
        return None
    if "?" in shape_of(terms[0]):
        return None
    for free, other in (terms, terms[::-1]):
        if is_free(free, w):
            return free, other
    return None


def packed_heads(split: ir.Node) -> int | None:
    """The number of heads, if a node does nothing but split query, key and value for one attention in the same module."""
    users = [user for value in split.outputs for user, _ in value.uses()]
    if split.op_type != "Split" or len(split.outputs) != 3 or len(users) != 3 or users[0].op_type != "Attention":
        return None
    attention = users[0]
    given = [value for value in attention.inputs if value is not None]
    shapes = [shape_of(value) for value in split.outputs]
    axis = attributes_of(split).get("axis", 0)
    heads = attributes_of(attention)
    if (
        len(given) != 3
        or any(ours is not value for ours, value in zip(given, split.outputs, strict=True))
        or any(value.is_graph_output() for value in split.outputs)
        or len(shapes[0]) != 3
        or axis not in (2, -1)
        or len({shape[2] for shape in shapes}) != 1
        or heads.get("q_num_heads") != heads.get("kv_num_heads")
        or scope_of(split) != scope_of(attention)
    ):
        return None
    return int(heads["q_num_heads"])
