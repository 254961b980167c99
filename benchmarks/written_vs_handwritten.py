"""The speed of written code beside careful hand-written code in the same framework.

    python benchmarks/written_vs_handwritten.py [--targets pytorch,jax,…] [--models mnist-cnn,…] [--modes default] [--json FILE]

For every target, model and mode one process holds both: the package that assay writes, driven as assay times it, and the
yardstick in benchmarks/handwritten. Samples of at least 50 ms alternate, and the order changes every round. Printed is
the median over rounds of hand-written time / written time (1.00: as fast; above: faster) for a training step and for
inference with one example and with the workload's batch, with the range of the middle half. Both train at a rate so low that
the weights stay what they were: some kernels' time depends on values. FILE is written after each model, and what it already
holds is not measured again. Exit status 1 if a median is below 0.95.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MODELS = ("mnist-cnn", "topics-lm", "vowels-rnn")
TARGETS = ("pytorch", "tensorflow", "keras/tensorflow", "keras/jax", "keras/torch", "jax")
LIMIT = 0.95
STILL = 1e-9  # a learning rate that leaves the weights as they are


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--modes", default="default", help="default, or modes separated by commas")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--one", nargs=4, help=argparse.SUPPRESS
    )  # target, model, mode, package: in a process of its own
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_compare(*options.one, options.rounds, options.threads)), flush=True)
        return
    rows = _read(options.json)
    for target in options.targets.split(","):
        for model in options.models.split(","):
            for mode in _modes(target, options.modes):
                if any((row["contestant"], row["model"]) == (f"{target}:{mode}", model) for row in rows):
                    continue
                rows.extend(_measure(target, model, mode, options))
                _write(options.json, rows)
    worst = min((row["speed"] for row in rows), default=0.0)
    print(f"lowest: {worst:.2f}")
    raise SystemExit(0 if worst >= LIMIT else 1)


def _modes(target: str, wanted: str) -> list[str]:
    from assay.frameworks import target as find_target

    modes = find_target(target).modes
    return [modes[0]] if wanted == "default" else [mode for mode in wanted.split(",") if mode in modes]


def _read(path: Path | None) -> list[dict[str, Any]]:
    """The rows that a file holds already, without failures."""
    if path is None or not path.exists():
        return []
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
    return [row for row in rows if row["speed"] > 0]


def _write(path: Path | None, rows: list[dict[str, Any]]) -> None:
    from assay.measure.environment import environment

    if path is None:
        return
    machine = environment(threads=1)
    facts = {
        "date": date.today().isoformat(),
        "machine": machine.summary(),
        "versions": dict(machine.versions),
        "limit": LIMIT,
    }
    path.write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")


def _measure(target: str, model: str, mode: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of one target, model and mode, from the package written anew."""
    from assay.workloads import WORKLOADS
    from assay.workloads.data import save_arrays

    workload = WORKLOADS[model]
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "data.safetensors"
        save_arrays(workload.data(), data)
        folder = workload.model().write(target).save(Path(temporary) / "package", data)
        return _in_process(target, model, mode, folder, options)


def _in_process(target: str, model: str, mode: str, folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    from assay.measure.process import worker_environment

    _framework, _, backend = target.partition("/")
    extra = {"KERAS_BACKEND": backend} if backend else {}
    environment = worker_environment(options.threads, "benchmark", extra | {"TF_CPP_MIN_LOG_LEVEL": "3"})
    command = [sys.executable, __file__, "--one", target, model, mode, str(folder)]
    command += ["--rounds", str(options.rounds), "--threads", str(options.threads)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{target}:{mode:<8} {model:<11} failed: {last}", flush=True)
        return [{"contestant": f"{target}:{mode}", "model": model, "task": None, "speed": 0.0, "reason": last}]
    rows: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    for row in rows:
        low, high = row["middle_half"]
        print(
            f"{row['contestant']:<24} {model:<11} {row['task']:<10} {row['speed']:.2f} ({low:.2f}–{high:.2f}); "
            f"written {row['written_s'] * 1e3:.3g} ms",
            flush=True,
        )
    return rows


def _compare(target: str, model: str, mode: str, folder: str, rounds: int, threads: int) -> list[dict[str, Any]]:
    framework = target.partition("/")[0]
    session = importlib.import_module(f"assay.frameworks.{framework}.run").Session(Path(folder), mode, "float32")
    yardstick = _yardstick(framework, model)
    yardstick.LEARNING_RATE = STILL
    place, train_step, predict = yardstick.make(mode, threads)
    wait = getattr(yardstick, "wait", lambda value: None)
    from assay.measure.arrays import batches_of, load_data
    from assay.workloads import WORKLOADS

    arrays = load_data(Path(folder) / "data.safetensors")
    size = WORKLOADS[model].training().batch_size
    session.begin_training({"LEARNING_RATE": STILL})
    rows = []
    for task, batch in (("train", size), ("infer", 1), ("infer", size)):
        batches = batches_of(arrays, task, batch, 8)
        ours = [session.place([*inputs, *([targets] if targets is not None else [])]) for inputs, targets in batches]
        theirs = [place([*inputs, *([targets] if targets is not None else [])]) for inputs, targets in batches]
        if task == "train":
            written = _loop(lambda b: session.train_step(b[:-1], b[-1]), session.wait, ours)
            hand = _loop(lambda b: train_step(*b), wait, theirs)
        else:
            written = _loop(lambda b: session.predict(b), session.wait, ours)
            hand = _loop(lambda b: predict(*b), wait, theirs)
        rows.append(
            {
                "contestant": f"{target}:{mode}",
                "model": model,
                "task": f"{task}/{batch}",
                **_ratio(hand, written, rounds),
            }
        )
    return rows


def _yardstick(framework: str, model: str) -> Any:
    path = HERE / "handwritten" / framework / f"{model.replace('-', '_')}.py"
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _loop(call: Callable[[Any], Any], wait: Callable[[Any], Any], batches: list[Any]) -> Callable[[int], float]:
    def timed(calls: int) -> float:
        start = time.perf_counter()
        value = None
        for index in range(calls):
            value = call(batches[index % len(batches)])
        wait(value)
        return (time.perf_counter() - start) / calls

    return timed


def _ratio(hand: Callable[[int], float], written: Callable[[int], float], rounds: int) -> dict[str, Any]:
    """Median hand-written / written time; both warmed up, the same number of calls in every sample."""
    for _ in range(3):
        hand(5), written(5)
    calls = max(1, round(0.05 / max(1e-6, min(hand(5), written(5)))))
    ratios, times = [], []
    for number in range(rounds):
        if number % 2:
            ours, theirs = written(calls), hand(calls)
        else:
            theirs, ours = hand(calls), written(calls)
        ratios.append(theirs / ours)
        times.append(ours)
    quarters = statistics.quantiles(ratios, n=4)
    return {
        "speed": statistics.median(ratios),
        "middle_half": (quarters[0], quarters[2]),
        "written_s": statistics.median(times),
    }


if __name__ == "__main__":
    main()
