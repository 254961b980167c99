"""What was found in passes of their own, as facts: latency, starts, costs, artefacts."""

from __future__ import annotations

from typing import Any, cast

from assay.measure import Record, record
from assay.measure.quantiles import percentiles
from assay.show import facts
from assay.verbs.attribution import attributions


def extras(found: Record) -> dict[str, Any]:
    """The facts of every pass, by the field of `Comparison` that holds them."""
    return {
        "latencies": tuple(_latency(found, item) for item in found.latencies if item.times_s),
        "starts": tuple(_start(item) for item in found.starts),
        "costs": tuple(_costs(found, item) for item in found.costs),
        "attributions": attributions(found),
        "artefacts": tuple(
            facts.Artefact(item.contestant, item.format, item.bytes, item.weights_bytes, item.reason)
            for item in found.saved
        ),
    }


def _latency(found: Record, item: record.Latency) -> facts.Latency:
    threads, precision = found.conditions[item.condition]
    return facts.Latency(
        contestant=item.contestant,
        batch_size=item.batch_size,
        threads=threads,
        precision=cast("facts.PrecisionName", precision),
        percentiles=tuple(facts.Percentile(one.percent, one.value_s, one.upper_s) for one in percentiles(item.times_s)),
        times_s=item.times_s,
        waited=item.waited_ns / 1e9 if item.waited_ns is not None else None,
    )


def _start(item: record.Start) -> facts.Start:
    return facts.Start(
        contestant=item.contestant,
        task=cast("facts.Task", item.task),
        batch_size=item.batch_size,
        compile_cache=cast("facts.CompileCache", item.cache),
        import_s=item.import_s,
        build_s=item.build_s,
        compile_s=item.compile_s,
        first_call_s=item.first_s,
    )


def _costs(found: Record, item: record.Costs) -> facts.Costs:
    threads, precision = found.conditions[item.condition]
    return facts.Costs(
        contestant=item.contestant,
        task=cast("facts.Task", item.task),
        batch_size=item.batch_size,
        threads=threads,
        precision=cast("facts.PrecisionName", precision),
        first_memory_bytes=item.first_bytes,
        steady_memory_bytes=item.steady_bytes,
        device_memory_bytes=item.device_bytes,
        joules_per_call=item.joules / item.calls if item.joules is not None and item.calls else None,
        energy_source=item.energy_source,
    )
