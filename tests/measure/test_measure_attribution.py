"""From a profiler's spans to where a call's time goes, and why one contestant is slower than another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measure_bench import FAST, Bench

from assay.frameworks.base import Contestant, Span
from assay.frameworks.tracing import Event, spans
from assay.measure import ProofResult, measure
from assay.measure.attribution import OTHER, OVERHEAD, kind_of, self_seconds, shares
from assay.measure.record import Profile
from assay.verbs.attribution import attributions


def operator(name: str, start: float, seconds: float, line: str = "a") -> Span:
    return Span(line, name, start, seconds, True)


def test_time_of_nested_spans_counts_once() -> None:
    found = [operator("outer", 0, 10), operator("inner", 2, 3), operator("inmost", 3, 1), operator("next", 12, 1)]
    assert self_seconds(found) == [7, 2, 1, 1]
    apart = [operator("one", 0, 10), operator("other", 2, 3, line="b")]
    assert self_seconds(apart) == [10, 3]


def test_shares_of_kinds_and_of_nothing() -> None:
    """Two of ten seconds a matrix product on one thread; a convolution on two at once for four; four of nothing."""
    found = shares(
        [
            operator("aten::mm", 0, 2),
            operator("conv_general_dilated.2", 2, 4),
            operator("conv_general_dilated.7", 2, 4, line="b"),
            Span("a", "python", 0, 10, False),
        ],
        seconds=10,
        calls=2,
    )
    kinds = dict(found.kinds)
    assert kinds[OVERHEAD] == pytest.approx(0.4)
    assert kinds["matrix product"] == pytest.approx(0.6 * 2 / 10) and kinds["convolution"] == pytest.approx(
        0.6 * 8 / 10
    )
    (first, _) = found.operators
    assert (first.name, first.count) == ("conv_general_dilated", 1.0)


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.floats(0, 9), st.floats(0, 5), st.sampled_from(("mm", "relu", "copy_")))
    ),
    st.floats(1, 20),
)
def test_shares_add_up(drawn: list[tuple[str, float, float, str]], seconds: float) -> None:
    found = shares([operator(name, start, took, line) for line, start, took, name in drawn], seconds, 1)
    assert all(share >= 0 for _, share in found.kinds)
    assert sum(share for _, share in found.kinds) == pytest.approx(1, abs=1e-6) or sum(t for _, _, t, _ in drawn) == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::mkldnn_convolution", "convolution"),
        ("_MklNativeConv2DBackpropFilter", "convolution"),
        ("convert_element_type", "copies and layout"),
        ("transpose_copy_fusion", "copies and layout"),
        ("maximum_bitcast_fusion", "fused operators"),
        ("_MklMatMul", "matrix product"),
        ("aten::mm", "matrix product"),
        ("aten::_fused_adam_", "optimizer"),
        ("ResourceApplyAdam", "optimizer"),
        ("aten::native_batch_norm", "normalisation"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("Relu", OTHER),
    ],
)
def test_kinds_of_operators(name: str, kind: str) -> None:
    assert kind_of(name) == kind


def event(line: str, name: str, start: float, seconds: float, *, hlo: bool = False, plane: str = "/host:CPU") -> Event:
    return Event(plane, line, name, start, seconds, hlo)


def test_what_computes_in_a_trace() -> None:
    """As JAX and TensorFlow write it: compiled programs, nodes of a graph, eager operators, cards."""
    found = spans(
        [
            event("python", "PjitFunction(step)", 0, 9),
            event("python", "$api.py:1 block_until_ready", 0, 9),
            event("pool", "ThunkExecutor::Execute", 1, 5),
            event("pool", "ynn_fusion.1", 1, 2, hlo=True),
            event("pool", "end: ynn_fusion.1", 3, 0.1),
            event("compute", "gradient_tape/matmul/MatMul_1:_MklMatMul", 1, 2),
            event("compute", "__inference_step_267:__inference_step_267", 0, 9),
            event("python", "EagerLocalExecute: Conv2D", 10, 4),
            event("python", "KernelAndDeviceFunc::Run", 11, 2),
            event("python", "EagerLocalExecute: __inference_step_226", 20, 4),
            event("python", "KernelAndDeviceFunc::Run", 21, 2),
            event("stream", "sm90_xmma_gemm", 0, 1, plane="/device:GPU:0"),
        ]
    )
    computing = {span.name: span.seconds for span in found if span.is_operator}
    assert computing == {"ynn_fusion.1": 2, "_MklMatMul": 2, "Conv2D": 2, "sm90_xmma_gemm": 1}
    assert not any(span.name.startswith(("end: ", "$")) for span in found)


def equal(contestant: Contestant, result: ProofResult) -> None:
    assert not result.errors


def test_a_run_with_profiles(bench: Bench) -> None:
    entries = [bench.entry("jax:jit"), bench.entry("jax:eager", seconds={"eager": 0.004})]
    record = measure(bench.plan(*entries, effort=replace(FAST, attribute=True)), equal)
    assert {(p.contestant, p.task) for p in record.profiles} == {
        (name, task) for name in ("jax:jit", "jax:eager") for task in ("train", "infer")
    }
    for profile in record.profiles:
        assert sum(share for _, share in profile.kinds) == pytest.approx(1)
        assert profile.operators[0][:2] == ("MatMul", "matrix product")
    found = {(item.contestant, item.task): item for item in attributions(record)}
    slower = found["jax:eager", "train"]
    assert slower.slower_than == "jax:jit" and found["jax:jit", "train"].slower_than is None
    median = next(m.median_s for m in record.measurements if (m.contestant, m.task) == ("jax:eager", "train"))
    assert sum(part.seconds for part in slower.parts) == pytest.approx(median)
    assert "slower than jax:jit: " in slower.statement and "more of matrix product" in slower.statement


def test_the_difference_in_words(bench: Bench) -> None:
    record = measure(bench.plan(bench.entry("jax:jit"), bench.entry("jax:eager", seconds={"eager": 0.02})), equal)
    times = {"jax:jit": 0.010, "jax:eager": 0.030}
    samples = tuple(replace(s, wall_ns=int(times[s.contestant] * 1e9) * s.calls) for s in record.samples)
    kinds = {
        "jax:jit": (("convolution", 0.8), (OVERHEAD, 0.2)),
        "jax:eager": (("convolution", 0.2), (OVERHEAD, 0.7), ("copies and layout", 0.1)),
    }
    profiles = tuple(Profile(name, 0, "train", 8, 1, 0.05, kinds[name], ()) for name in times)
    fast, slow = attributions(replace(record, samples=samples, profiles=profiles))
    assert fast.statement == "jax:jit: the fastest; 80% convolution and 20% dispatch and Python"
    assert slow.statement == (
        "jax:eager: 20.0 ms slower than jax:jit: 19.0 ms more of dispatch and Python, 3.00 ms more of copies and layout "
        "and 2.00 ms less of convolution"
    )


def test_a_profiler_that_fails_costs_the_profile(bench: Bench) -> None:
    entry = bench.entry("jax:jit", misbehave={"at": "profile", "do": "raise"})
    record = measure(bench.plan(entry, effort=replace(FAST, attribute=True)), equal)
    assert record.profiles == () and attributions(record) == ()
    assert any("its profile could not be measured" in item.text for item in record.decisions)
    assert all(item.status == "ok" for item in record.measurements)
