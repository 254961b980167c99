"""Gaps are strict: each says why, matches something, and fails; anything else is an error."""

from __future__ import annotations

import pytest

from assay.errors import NotFoundError
from assay.frameworks import frameworks
from assay.testing.cases import LAYERS, select
from assay.testing.gaps import Fault, Gap, GapError, judge, load_gaps, read_gaps, unmatched
from assay.testing.official import official

CONV = Gap("conv*", "todo", "not written yet")
WRONG = Fault("outputs", "eager", "outputs deviate by 1.0e-03")
MODES = ("graph", "eager")


def test_a_case_without_faults_and_gaps_passes() -> None:
    assert judge("conv2d-plain", [], [], MODES).status == "pass"


def test_a_fault_without_a_gap_is_a_failure_with_its_reason() -> None:
    outcome = judge("conv2d-plain", [WRONG], [], MODES)
    assert outcome.status == "failure"
    assert outcome.reasons == ("eager: outputs: outputs deviate by 1.0e-03",)


def test_a_fault_that_a_gap_expects_is_a_gap() -> None:
    outcome = judge("conv2d-plain", [WRONG], [CONV], MODES)
    assert (outcome.status, outcome.gaps) == ("gap", (CONV,))


def test_a_gap_that_passes_is_a_failure() -> None:
    outcome = judge("conv2d-plain", [], [CONV], MODES)
    assert outcome.status == "failure"
    assert "remove or narrow the entry" in outcome.reasons[0]


def test_a_gap_of_another_case_changes_nothing() -> None:
    assert judge("pool2d-max", [], [CONV], MODES).status == "pass"


def test_a_gap_of_one_mode_covers_faults_of_that_mode_only() -> None:
    gap = Gap("conv*", "todo", "eager only", mode="eager")
    elsewhere = Fault("outputs", "graph", "outputs deviate")
    assert judge("conv2d-plain", [WRONG], [gap], MODES).status == "gap"
    assert judge("conv2d-plain", [WRONG, elsewhere], [gap], MODES).status == "failure"


def test_a_gap_of_a_mode_that_does_not_run_expects_nothing() -> None:
    gap = Gap("conv*", "todo", "eager only", mode="eager")
    assert judge("conv2d-plain", [], [gap], ("graph",)).status == "pass"


def test_a_gap_of_one_stage_covers_that_stage_only() -> None:
    gap = Gap("conv*", "todo", "no gradient", stage="gradients")
    assert judge("conv2d-plain", [WRONG], [gap], MODES).status == "failure"
    assert judge("conv2d-plain", [Fault("gradients", "eager", "x")], [gap], MODES).status == "gap"


def test_two_gaps_of_one_case_must_both_be_needed() -> None:
    second = Gap("conv2d-plain", "todo", "gradients", stage="gradients")
    assert judge("conv2d-plain", [WRONG], [CONV, second], MODES).status == "failure"


def test_entries_that_match_no_case_are_found() -> None:
    idle = Gap("convolution-of-the-future", "never", "no such layer")
    assert unmatched([CONV, idle], ["conv2d-plain", "pool2d-max"]) == [idle]


def test_entries_of_another_backend_are_left_out() -> None:
    text = "\n".join(
        f'[[gap]]\ncases = "{backend}-*"\nkind = "todo"\nwhy = "no"\nbackend = "{backend}"'
        for backend in ("jax", "torch")
    )
    assert [gap.cases for gap in read_gaps(text, "jax")] == ["jax-*"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('kind = "todo"\nwhy = "no"', "lacks cases"),
        ('cases = "a"\nkind = "todo"', "lacks why"),
        ('cases = "a"\nkind = "someday"\nwhy = "no"', "someday"),
        ('cases = "a"\nkind = "upstream"\nwhy = "no"', "no link"),
        ('cases = "a"\nkind = "todo"\nwhy = "no"\ncase = "b"', "which nothing reads"),
    ],
)
def test_an_entry_that_says_too_little_or_too_much_is_refused(entry: str, message: str) -> None:
    with pytest.raises(GapError, match=message):
        read_gaps(f"[[gap]]\n{entry}\n")


def test_every_entry_of_the_built_in_frameworks_is_sound_and_matches_a_case() -> None:
    names = [*(case.name for case in LAYERS), *(case.name for case in official())]
    for framework in frameworks().values():
        for target in framework.targets:
            assert unmatched(load_gaps(framework.name, target.backend), names) == []
            assert all(gap.mode in (None, *target.modes) for gap in load_gaps(framework.name, target.backend))


def test_names_of_cases_are_unique() -> None:
    names = [case.name for case in LAYERS]
    assert len(names) == len(set(names))


def test_cases_are_chosen_by_a_pattern_that_must_match() -> None:
    assert {case.name for case in select(LAYERS, ["attention-*"])} >= {"attention-self", "attention-causal"}
    with pytest.raises(NotFoundError, match="no case matches"):
        select(LAYERS, ["attention-self", "no-such-layer"])
