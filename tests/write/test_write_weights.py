"""Weight maps are invertible, whatever their steps."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assay.write.weights import Step, WeightMap, blocks, flip, reshape, to_native, to_source, transpose


@st.composite
def chains(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[Step, ...]]:
    """A shape and a chain of steps that fit it."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    start, steps = shape, []
    for kind in draw(st.lists(st.sampled_from(["transpose", "reshape", "blocks", "flip"]), max_size=4)):
        rank = len(shape)
        if kind == "transpose":
            axes = tuple(draw(st.permutations(range(rank))))
            steps.append(transpose(*axes))
            shape = tuple(shape[axis] for axis in axes)
        elif kind == "reshape":
            new = (math.prod(shape),) if draw(st.booleans()) else (1, *shape)
            steps.append(reshape(shape, new))
            shape = new
        elif kind == "blocks":
            axis = draw(st.integers(0, rank - 1))
            count = draw(st.sampled_from([n for n in range(1, shape[axis] + 1) if shape[axis] % n == 0]))
            steps.append(blocks(axis, draw(st.permutations(range(count)))))
        else:
            steps.append(flip(*draw(st.lists(st.integers(0, rank - 1), unique=True))))
    return start, tuple(steps)


@given(chains())
def test_a_chain_of_steps_is_undone(chain: tuple[tuple[int, ...], tuple[Step, ...]]) -> None:
    shape, steps = chain
    source = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    maps = [WeightMap("native", "source", "parameter", (), steps)]
    native = to_native(maps, {"source": source})
    assert np.array_equal(to_source(maps, native, {"source": shape})["source"], source)


def test_parts_are_put_together() -> None:
    source = np.arange(24.0).reshape(2, 12)
    maps = [
        WeightMap(
            f"part{i}.{half}",
            "bias",
            "parameter",
            ((i, i + 1), (half * 6, half * 6 + 6)),
            (reshape((1, 6), (6,)), blocks(0, (1, 0, 2))),
        )
        for i in range(2)
        for half in range(2)
    ]
    native = to_native(maps, {"bias": source})
    assert {array.shape for array in native.values()} == {(6,)}
    assert np.array_equal(to_source(maps, native, {"bias": source.shape})["bias"], source)


def test_a_missing_part_leaves_the_source_out() -> None:
    maps = [WeightMap(f"p{i}", "w", "parameter", ((i, i + 1),), ()) for i in range(2)]
    native = to_native(maps, {"w": np.ones((2, 3))})
    del native["p1"]
    assert to_source(maps, native, {"w": (2, 3)}) == {}


def test_two_sources_one_below_the_other_make_one_native_array() -> None:
    above, below = np.arange(6.0).reshape(3, 2), np.arange(8.0).reshape(4, 2)
    maps = [
        WeightMap("kernel", "below", "parameter", rows=(3, 7)),
        WeightMap("kernel", "above", "parameter", rows=(0, 3)),
    ]
    native = to_native(maps, {"above": above, "below": below})
    np.testing.assert_array_equal(native["kernel"], np.concatenate([above, below]))
    back = to_source(maps, native, {"above": (3, 2), "below": (4, 2)})
    np.testing.assert_array_equal(back["above"], above)
    np.testing.assert_array_equal(back["below"], below)
