"""Reading by index."""

from __future__ import annotations

from assay.frameworks.pytorch.bring_ops.common import Call, Result, Untranslatable, aten, axis_of


@aten("embedding")
def embedding(c: Call) -> Result:
    if (padding := c["padding_idx"]) is not None and padding >= 0:
        c.tracer.note(f"row {padding} of an embedding is for padding; the written code trains it like the others")
    return c.result("Gather", [c.tensor("weight"), c.tensor("indices")], axis=0)


@aten("index_select")
def index_select(c: Call) -> Result:
    x = c.tensor("self")
    return c.node("Gather", [x, c.tensor("index")], c.shape, c.dtype, axis=axis_of(c["dim"], x.rank))


@aten("gather", "take_along_dim")
def gather(c: Call) -> Result:
    x, axis = c.tensor("self"), c["dim"]
    if axis is None:
        raise Untranslatable("no axis")
    return c.result(
        "GatherElements",
        [x, c.operand("index" if "index" in c.arguments else "indices", "int64")],
        axis=axis_of(axis, x.rank),
    )


@aten("index")
def index(c: Call) -> Result:
    """x[i, j, :, k]: one index array by itself is a Gather, several that stand together are one GatherND."""
    x = c.tensor("self")
    given = [c.value(item) for item in c["indices"]]
    places = [place for place, item in enumerate(given) if item is not None]
    arrays = [item for item in given if item is not None]
    if any(item.dtype == "bool" for item in arrays):
        raise Untranslatable("a mask as an index: the size of the result is not known beforehand")
    if len(arrays) == 1:
        return c.result("Gather", [x, c.cast(arrays[0], "int64")], axis=places[0])
    if places != list(range(len(places))):
        raise Untranslatable("several index arrays that do not come first")
    common = c.shape[: len(c.shape) - (x.rank - len(places))]
    parts = [c.unsqueeze(c.expand(c.cast(item, "int64"), common), -1) for item in arrays]
    joined = c.node("Concat", parts, (*common, len(parts)), axis=-1)
    return c.node("GatherND", [x, joined], c.shape, c.dtype)


@aten("one_hot")
def one_hot(c: Call) -> Result:
    import numpy as np

    depth = c.tracer.constant(np.array(c["num_classes"], np.int64))
    return c.result("OneHot", [c.tensor("self"), depth, c.integers([0, 1])], axis=-1)
