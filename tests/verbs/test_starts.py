"""How the starts of several processes are summed up."""

from __future__ import annotations

from assay.measure.environment import environment
from assay.measure.record import FORMAT, Cold, FirstCalls, Header, Record
from assay.verbs.convert import cold_starts


def test_starts_are_told_by_the_state_of_the_cache() -> None:
    """Three processes: one found nothing on disk, two found everything; and the twin's, which nobody asked for."""
    header = Header(FORMAT, "0", "now", ("jax:jit",), (("train", 8),), "jax:jit", 1, 0, False, {}, {})
    colds, firsts = [], []
    for name in ("jax:jit", "jax:jit (twin)"):
        for process, (seconds, cache) in enumerate([(10.0, (0, 4)), (1.0, (4, 0)), (3.0, (4, 0))]):
            colds.append(Cold(name, process, 1.0, 1.0, 0.5, 0.5, 0, process == 2))
            calls = (seconds, 0.1, 0.1)
            firsts.append(FirstCalls(name, process, "train", 8, calls, calls, (1, 0, 0), 0, True, False, cache))
    record = Record(header, environment(1), colds=tuple(colds), first_calls=tuple(firsts))
    cold, warm = cold_starts(record)
    assert (cold.contestant, cold.compile_cache, cold.processes, cold.first_step_s) == ("jax:jit", "cold", 1, 10.0)
    assert (warm.contestant, warm.compile_cache, warm.processes, warm.first_step_s) == ("jax:jit", "warm", 2, 2.0)
    assert warm.beside_others and not cold.beside_others and warm.first_inference_s is None
    assert cold_starts(None) == ()
