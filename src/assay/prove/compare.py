"""Float64 results of contestants beside the oracle's and one another's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from assay.frameworks.base import Contestant
from assay.graph.calls import calls_of
from assay.model import DROPS, Model, constant_of, intended, scope_of
from assay.prove import tolerance
from assay.prove.result import Check, Proof
from assay.prove.results import Arrays, Joined, Results, deviation, size_of
from assay.write.package import Package


@dataclass
class Judge:
    """Compares contestants as their results come in. The first sound one is what the others' gradients are held against."""

    model: Model
    truth: tuple[np.ndarray, ...]  # the oracle's outputs
    trained: bool  # whether there is a loss to differentiate
    reference: tuple[str, Results] | None = None
    source: str | None = None  # the framework that made the truth; None for the oracle, which is exact

    def judge(self, contestant: Contestant, package: Package, results: Results, errors: Mapping[str, str]) -> Proof:
        """The proof of one contestant. `errors`: stage → reason, for what it could not compute."""
        if errors:
            reason = "; ".join(f"{stage}: {text}" for stage, text in errors.items())
            return Proof(contestant.name, "not-run" if "open" in errors else "different", reason)
        kinds = self._kinds()
        allowed = tolerance.applying(contestant.framework, contestant.backend, kinds)
        if self.source is not None and self.source != contestant.framework:
            allowed += tolerance.applying(self.source, None, kinds)
        slack = sum(item.error for item in allowed)
        checks = [self._outputs(results, slack)]
        if self.trained:
            if self.reference is None and checks[0].status == "equal":
                self.reference = (contestant.name, results)
            if self.reference is not None:
                checks.extend(self._training(results, self.reference[1], slack))
        checks.append(self._dropout(results))
        wrong = [item for item in checks if item.status == "different"]
        return Proof(
            contestant.name,
            "different" if wrong else "equal",
            _sentence(wrong[0]) if wrong else None,
            tuple(checks),
            allowances=tuple(map(str, allowed)),
        )

    def _kinds(self) -> set[str]:
        kinds = {call.kind for call in calls_of(self.model)}
        if self.model.training is not None:
            optimizer = self.model.training.optimizer
            kinds |= {
                type(optimizer).__name__,
                type(optimizer.schedule).__name__,
                type(self.model.training.loss).__name__,
            }
            kinds |= {"clip"} if optimizer.clip is not None else set()
        return kinds

    def _outputs(self, results: Results, slack: float) -> Check:
        if len(results.outputs) != len(self.truth):
            reason = f"{len(results.outputs)} outputs, expected {len(self.truth)}"
            return Check("outputs", "different", len(results.outputs), reason=reason)
        names = [value.name or str(index) for index, value in enumerate(self.model.graph.outputs)]
        return _check(
            "outputs",
            dict(zip(names, results.outputs, strict=True)),
            dict(zip(names, self.truth, strict=True)),
            tolerance.OUTPUTS + slack,
        )

    def _training(self, results: Results, reference: Results, slack: float) -> list[Check]:
        gradients = tolerance.GRADIENTS + slack
        steps = tolerance.STEPS + 10 * slack
        loss, losses = {"loss": np.asarray(results.loss)}, {"loss": np.asarray(reference.loss)}
        silent = silent_parameters(reference.gradient_sizes)
        return [
            _check("loss", loss, losses, tolerance.OUTPUTS + slack),
            _check(
                "gradients",
                Joined(results.gradients, results.input_gradients),
                Joined(reference.gradients, reference.input_gradients),
                gradients,
                sizes=reference.gradient_sizes,
                scales=dict.fromkeys(silent, tolerance.SILENT / gradients),
            ),
            _check(
                "steps",
                Joined(self._updates(results, "parameter"), {"losses": results.losses}),
                Joined(self._updates(reference, "parameter"), {"losses": reference.losses}),
                steps,
                sizes=reference.update_sizes,
                scaled_apart=("losses",),
                scales=dict.fromkeys(silent, tolerance.SILENT_STEPS / steps),
            ),
            _check(
                "statistics",
                self._updates(results, "statistic"),
                self._updates(reference, "statistic"),
                steps,
                sizes=reference.update_sizes,
            ),
        ]

    def _updates(self, results: Results, role: str) -> Arrays:
        """What the steps added to the parameters, or to the running statistics."""
        values = self.model.graph.initializers
        return Joined(results.updates, only=[name for name in results.updates if self.model.role(values[name]) == role])

    def _dropout(self, results: Results) -> Check:
        """Rate, scale, and absence in evaluation, of every dropout layer of the graph."""
        expected = sorted(_dropouts(self.model))
        found = sorted((rate, rate > 0 and _drops_examples(trained)) for rate, trained, _ in results.dropout)
        same = [
            abs(a - b) <= 1e-6 and how == how_found for (a, how), (b, how_found) in zip(expected, found, strict=False)
        ]
        if len(expected) != len(found) or not all(same):
            reason = f"dropout rates {_listed(found)}, expected {_listed(expected)}"
            return Check("dropout", "different", len(found), reason=reason)
        for number, (rate, trained, evaluated) in enumerate(results.dropout):
            if fault := _dropout_fault(rate, trained, evaluated):
                return Check("dropout", "different", len(found), f"dropout {number}", reason=fault)
        return Check("dropout", "equal", len(found))


def _dropouts(model: Model) -> list[tuple[float, bool]]:
    """The rate of every dropout layer, and whether it drops whole examples; one that is called again, with the module
    around it, counts once."""
    calls: dict[tuple[str, ...], dict[tuple[int, ...], list[tuple[float, bool]]]] = {}
    for node in model.graph:
        if node.op_type == "Dropout":
            ratio = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
            rate = 0.5 if ratio is None else intended(float(ratio.reshape(())))
            scope = scope_of(node)
            once = calls.setdefault(tuple(path for path, _ in scope), {})
            found = once.setdefault(tuple(number for _, number in scope), [])
            found.append((rate, rate > 0 and node.metadata_props.get(DROPS) == "examples"))
    return [item for once in calls.values() for item in max(once.values(), key=len)]


def _drops_examples(trained: np.ndarray) -> bool:
    """Whether each example of what was ones is dropped as a whole, or kept: by chance no other layer does that."""
    rows = trained.reshape(len(trained), -1)
    return rows.shape[1] > 1 and bool((rows == rows[:, :1]).all())


def _listed(dropouts: Iterable[tuple[float, bool]]) -> str:
    return ", ".join(f"{rate:g}{' of the examples' if whole else ''}" for rate, whole in dropouts) or "none"


def _dropout_fault(rate: float, trained: np.ndarray, evaluated: np.ndarray) -> str | None:
    """What is wrong with a dropout layer's answer to an array of ones, or None."""
    if not np.array_equal(evaluated, np.ones_like(evaluated)):
        return "dropout changes its input in evaluation mode"
    if _drops_examples(trained):
        trained = trained.reshape(len(trained), -1)[:, 0]
    kept = trained[trained != 0]
    if kept.size and float(np.abs(kept * (1 - rate) - 1).max()) > 1e-6:
        return f"kept elements are multiplied by {float(kept.flat[0]):g}, expected {1 / (1 - rate):g}"
    dropped = 1 - kept.size / trained.size
    bound = 6 * math.sqrt(rate * (1 - rate) / trained.size)  # six standard deviations: one false alarm in 10⁹
    if abs(dropped - rate) > bound:
        return f"{dropped:.4f} of the elements are dropped, expected {rate:g} ± {bound:.4f}"
    return None


def silent_parameters(sizes: Mapping[str, float]) -> list[str]:
    """The parameters whose gradient is zero in exact arithmetic, and rounding in any other; of all gradients' sizes."""
    largest = max(sizes.values(), default=0.0)
    return [name for name, size in sizes.items() if size <= tolerance.SILENT * largest]


def _check(
    name: str,
    actual: Arrays,
    expected: Arrays,
    limit: float,
    scaled_apart: tuple[str, ...] = (),
    scales: Mapping[str, float] | None = None,
    sizes: Mapping[str, float] | None = None,
) -> Check:
    """Compares arrays by name. A tensor much smaller than its neighbours is judged by their size: by `scales` of the largest,
    by name, or `SMALLEST_SCALE` of it. `sizes` are those of expected arrays, as far as they are known."""
    fractions, known = scales or {}, sizes or {}
    if missing := sorted(set(expected) ^ set(actual)):
        side = "is missing" if missing[0] in expected else "was not expected"
        return Check(name, "different", len(actual), missing[0], reason=f"{missing[0]} {side}")
    if not expected:
        return Check(name, "equal", 0)
    largest = max(
        (known[key] if key in known else size_of(expected[key]) for key in expected if key not in scaled_apart),
        default=0.0,
    )
    if not math.isfinite(largest):
        largest = 0.0
    errors = {
        key: deviation(
            actual[key],
            array,
            0.0 if key in scaled_apart else largest * fractions.get(key, tolerance.SMALLEST_SCALE),
        )
        for key, array in expected.items()
    }
    worst = max(errors, key=lambda key: errors[key])
    status = "equal" if errors[worst] <= limit else "different"
    return Check(name, status, len(expected), worst, errors[worst], limit)


def _sentence(check: Check) -> str:
    if check.reason:
        return f"{check.check}: {check.reason}"
    return f"{check.check}: {check.tensor} deviates by {check.error:.1e}, at most {check.tolerance:.0e} expected"
