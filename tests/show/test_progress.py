"""Progress: a live table on a terminal, one line per finished row elsewhere."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from assay.show import facts
from assay.show.facts import Comparison
from assay.show.progress import STATES, Progress

Sample = Callable[[str], Comparison]


def feed(progress: Progress, found: Comparison) -> None:
    """The news of a whole comparison."""
    for proof in found.proofs:
        progress.state(proof.contestant, "proving", "gradients")
        progress.proof(proof)
        if proof.status != "equal":
            progress.state(proof.contestant, "failed", proof.reason or "")
    progress.measurements(found.measurements)
    progress.samples(10, 40)
    for proof in found.proofs:
        if proof.status == "equal":
            progress.state(proof.contestant, "done")


def piped(found: Comparison, use: Callable[[Progress], None]) -> list[str]:
    stream = io.StringIO()
    with Progress(found.contestants, title="digits", console=Console(file=stream, width=80)) as progress:
        use(progress)
    return stream.getvalue().splitlines()


def test_without_a_terminal_each_finished_row_is_one_line(sample: Sample) -> None:
    found = sample("failures")
    lines = piped(found, lambda progress: feed(progress, found))
    assert len(lines) == len(found.contestants)
    told = {line.split()[2]: line for line in lines}
    assert told.keys() == set(found.contestants)
    assert "✓ equal 3e-13  train step (64) 6.68 ms ±1%" in told["tensorflow:graph"]
    assert "inference (64) 1.89 ms" in told["tensorflow:graph"]
    assert told["tensorflow:xla"].count("signal 9") == 1
    assert "– not run  ✗ no C++ compiler" in told["pytorch:compile"]
    assert not any("\x1b" in line for line in lines)


def test_a_row_is_printed_when_it_is_ready_and_only_once(sample: Sample) -> None:
    stream = io.StringIO()
    found = sample("default modes")
    with Progress(found.contestants, console=Console(file=stream)) as progress:
        progress.proof(found.proofs[0])
        assert stream.getvalue() == ""
        progress.measurements(found.measurements)
        assert "pytorch:eager" in stream.getvalue()  # verified and measured: it does not wait for the others
        progress.state("pytorch:eager", "done")
        progress.state("pytorch:eager", "done")
    assert stream.getvalue().count("pytorch:eager") == 1


def test_no_figure_without_a_proof(sample: Sample) -> None:
    found = sample("one framework")

    def use(progress: Progress) -> None:
        progress.measurements(found.measurements)
        progress.state("jax:jit", "done")

    (line,) = piped(found, use)
    assert " ms" not in line


def test_what_was_cut_short_is_told_as_far_as_it_came(sample: Sample) -> None:
    found = sample("default modes")
    stream = io.StringIO()
    progress = Progress(found.contestants, console=Console(file=stream))
    with pytest.raises(KeyboardInterrupt), progress:
        progress.proof(found.proofs[0])
        progress.state(found.proofs[0].contestant, "timing")
        raise KeyboardInterrupt
    (line,) = stream.getvalue().splitlines()
    assert "equal" in line
    assert "stopped while measuring" in line


def test_the_live_table_shows_states_and_verified_figures(sample: Sample) -> None:
    found = sample("failures")
    for width in (80, 120):
        stream = io.StringIO()
        console = Console(file=stream, width=width, height=60, force_terminal=True, color_system=None)
        with Progress(found.contestants, title="digits-cnn", console=console) as progress:
            feed(progress, found)
            progress.state("jax:jit", "timing", "round 3")
            progress.notice("writing 6 packages")
            if progress._live:  # what the refresh thread would draw within a second
                progress._live.refresh()
        text = stream.getvalue()
        frame = text[text.rindex("digits-cnn") :]
        assert "✓ 4e-14" in frame
        assert "measur" in frame
        assert "24.0 µs" in frame
        assert "✗ different" in frame
        assert "25% of the samples" in frame
        assert "writing 6 packages" in frame
        assert all(cell_len(line) <= width for line in frame.split("\x1b")[0].splitlines())


def test_the_live_table_leaves_the_terminal_as_it_was(sample: Sample) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=True, color_system=None)
    with pytest.raises(KeyboardInterrupt), Progress(sample("all").contestants, console=console):
        raise KeyboardInterrupt
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h") == 1
    for thread in threading.enumerate():
        if "refresh" in type(thread).__name__.lower():
            thread.join(timeout=10)
            assert not thread.is_alive()


def test_hostile_news_cannot_steer_the_terminal(sample: Sample) -> None:
    hostile = sample("hostile").command
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=True, color_system=None)
    with Progress([hostile], title=hostile, console=console) as progress:
        progress.state(hostile, hostile, hostile)
        progress.notice(hostile)
        progress.proof(facts.Proof(hostile, "different", reason=hostile))
    assert "\x1b[31m\ufffd" not in stream.getvalue()
    assert "\u202e" not in stream.getvalue()
    (line, *_) = piped(sample("one framework"), lambda progress: progress.state("jax:jit", "failed", hostile))
    assert "[bold]" in line
    assert "\x1b" not in line


def test_news_from_many_threads(sample: Sample) -> None:
    found = sample("all")
    stream = io.StringIO()
    with Progress(found.contestants, console=Console(file=stream, width=100)) as progress:
        threads = [
            threading.Thread(target=lambda name=name: progress.state(name, "done")) for name in found.contestants
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(stream.getvalue().splitlines()) == len(found.contestants)


def test_unknown_contestants_and_states_are_shown_all_the_same(sample: Sample) -> None:
    def use(progress: Progress) -> None:
        progress.state("new:mode", "pondering")
        progress.state("new:mode", "failed", "gave up")

    assert "gave up" in piped(sample("one framework"), use)[0]
    assert all(STATES.values())


def test_of_several_conditions_the_first_is_shown(sample: Sample) -> None:
    """Those that are measured later must not take its place, least of all while they have no figures."""
    found = sample("all")
    later = [
        replace(m, precision="bfloat16", status="not-run", median_s=None, reason="not timed")
        for m in found.measurements
    ]
    found = replace(found, measurements=(*found.measurements, *later))
    lines = piped(found, lambda progress: feed(progress, found))
    assert any("train step (64) 6.68 ms" in line for line in lines) and not any("not timed" in line for line in lines)
