"""The command line. Heavy imports happen inside the commands: `assay --help` stays quick and needs no framework."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay import __version__
from assay.cli_history import diff, history, keeping
from assay.errors import AssayError, DataError, unknown

if TYPE_CHECKING:
    from assay.measure import Effort
    from assay.model import Model
    from assay.verbs.recording import Recording

_EQUAL, _DIFFERENT, _BAD_INPUT, _INTERRUPTED = 0, 1, 2, 130
_NAMES = "names separated by commas: pytorch, tensorflow, keras, keras/jax, jax"


class _Group(click.Group):
    """Turns assay's own errors into one message and their exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AssayError as error:
            click.echo(f"error: {error}", err=True)
            for note in getattr(error, "__notes__", ()):
                click.echo(note, err=True)
            ctx.exit(error.exit_status)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(_INTERRUPTED)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="assay")
def main() -> None:
    """One model, every deep-learning framework: written as native code, proven equal, measured fairly, yours to keep.

    MODEL is a built-in workload (see `assay workloads`), file.py:callable or package.module:callable that returns a
    module of PyTorch, Flax NNX or TensorFlow, a Keras model or an assay model, an .onnx, .pt2 or .keras file, or the
    folder of a SavedModel.
    """


def _names(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if value else None


def _numbers(_: click.Context, option: click.Parameter, value: str | None) -> tuple[int, ...]:
    """`1,8,32` as numbers."""
    try:
        numbers = tuple(int(part) for part in value.split(",")) if value else ()
    except ValueError:
        raise DataError(f"{option.opts[0]} {value}: expected whole numbers separated by commas, as 1,8,32") from None
    if any(number < 1 for number in numbers):
        raise DataError(f"{option.opts[0]} {value}: expected numbers of at least 1")
    if len(set(numbers)) < len(numbers):
        raise DataError(f"{option.opts[0]} {value}: a number is given twice")
    return numbers


_frameworks = click.option(
    "--frameworks",
    "-f",
    callback=_names,
    metavar="NAMES",
    help=f"Take part: {_NAMES}; all that are installed by default.",
)
_modes = click.option(
    "--modes",
    "-m",
    callback=_names,
    metavar="NAMES",
    help="Modes: eager, compile, graph, xla, jit, or default for each framework's own; all by default.",
)
_seed = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="For weights, batches and the order of measurements.",
)
_inputs = click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="SHAPE[:DTYPE]",
    help="An input of a module that is brought, as 1x3x224x224 or 1x128:int64; once for each input.",
)
_loss = click.option(
    "--loss",
    metavar="LOSS",
    help="What a brought model is trained on: cross-entropy, binary-cross-entropy, mean-squared-error, "
    "mean-absolute-error or huber:delta=1; of several outputs it reads the first, or cross-entropy:output=NAME.",
)
_optimizer = click.option(
    "--optimizer",
    metavar="OPTIMIZER",
    help="What it is trained by, as adamw:learning_rate=1e-3,weight_decay=0.01: sgd (the default), adam, adamw, rmsprop.",
)
_threads = click.option(
    "--threads", type=click.IntRange(min=1), default=None, help="Threads of each worker; all processors by default."
)

_device = click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="DEVICE",
    help="What everything is computed on: cpu, cuda, or auto: cuda where there is one.",
)


@main.command()
@click.argument("model", default="digits-cnn")
@_inputs
@_loss
@_optimizer
@_frameworks
@_modes
@click.option(
    "--task", type=click.Choice(["train", "infer", "both"]), default="both", show_default=True, help="What to time."
)
@click.option(
    "--batch-size",
    "batch_sizes",
    callback=_numbers,
    metavar="N[,N…]",
    help="Examples at once; the workload's by default. Several are a sweep: each is trained and inferred with.",
)
@click.option(
    "--precision",
    "precisions",
    callback=_names,
    metavar="NAMES",
    help="float32 (the default), bfloat16 (mixed precision as each framework has it), float64; several are measured one "
    "after another.",
)
@click.option(
    "--threads",
    callback=_numbers,
    metavar="N[,N…]",
    help="Threads of each worker; all processors by default. Several are measured one after another.",
)
@click.option(
    "--effort",
    default="quick",
    show_default=True,
    metavar="EFFORT",
    help="quick: one process each, indicative. standard: 6 processes each, and more until intervals are within 2 % or 15 "
    "minutes are over. rigorous: from 10 on, until they are within 1 % or an hour is over, with cold and warm starts.",
)
@click.option(
    "--budget",
    type=click.FloatRange(min=1),
    default=None,
    metavar="SECONDS",
    help="Begin no process that would end after this, even if the effort asks for more.",
)
@_seed
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write every fact and raw sample to this file."
)
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Write a self-contained page to this file.")
@click.option(
    "--keep", type=click.Path(path_type=Path), help="Keep written packages, logs and the raw record in this new folder."
)
@_device
@click.option(
    "--env",
    "environments",
    multiple=True,
    metavar="NAME=PACKAGES",
    help="Compare releases: 0.9=jax==0.9.*,flax makes an environment of these packages, whose contestants are jax@0.9:jit "
    "and so on; once for each. `--env here` adds what is installed.",
)
@click.option(
    "--envs",
    "environments_file",
    type=click.Path(path_type=Path),
    help='The same from a TOML file, as lines like  "0.9" = ["jax==0.9.*", "flax"].',
)
@click.option(
    "--costs/--no-costs",
    "--cold/--no-cold",
    "costs",
    default=None,
    help="Starts with and without a compile cache, memory, energy and saved sizes, in processes of their own; only from "
    "the effort standard on by default.",
)
@click.option(
    "--attribute/--no-attribute",
    default=False,
    help="Where the time goes: a profile of each contestant by its framework's own profiler, in a process of its own.",
)
@click.option(
    "--out-of-the-box",
    "own_defaults",
    is_flag=True,
    help="Measure each framework with its own defaults too, beside the version with the model's numbers.",
)
@click.option("--curves/--no-curves", default=True, help="Compare the loss curves of the first steps on real data.")
@keeping
def compare(
    model: str, json_file: Path | None, html_file: Path | None, keep: Path | None, recording: Recording, **chosen: Any
) -> None:
    """Write MODEL in every framework, prove all versions equal, measure them, and say which to use.

    Without MODEL, compares digits-cnn.
    """
    from assay.show import show
    from assay.show.files import check_writable
    from assay.verbs.compare import Options
    from assay.verbs.compare import compare as run

    for path in (json_file, html_file):
        if path is not None:
            check_writable(path)
    if keep is not None:
        _require_new(keep)
    options = Options(
        frameworks=chosen["frameworks"],
        modes=chosen["modes"],
        task=chosen["task"],
        batch_sizes=chosen["batch_sizes"],
        precisions=chosen["precisions"] or ("float32",),
        effort=_with_passes(_effort(chosen["effort"], chosen["budget"]), chosen["costs"], chosen["attribute"]),
        threads=chosen["threads"],
        device=chosen["device"],
        environments=chosen["environments"],
        environments_file=chosen["environments_file"],
        tell=lambda text: click.echo(text, err=True),
        seed=chosen["seed"],
        own_defaults=chosen["own_defaults"],
        curves=chosen["curves"],
        keep=keep,
        command=shlex.join(["assay", *sys.argv[1:]]),
    )
    training = (chosen["loss"], chosen["optimizer"], max(chosen["batch_sizes"], default=None))
    brought = _load(model, chosen["seed"], chosen["inputs"], *training)
    found = _watched(lambda watch: run(brought, options, watch, recording), model)
    show(found, json=json_file, html=html_file)
    for said in recording.told:
        click.echo(said, err=True)
    if found.interrupted:
        raise SystemExit(_INTERRUPTED)


def _watched(run: Callable[[Any], Any], title: str) -> Any:
    """Runs something with a live view of its contestants."""
    from contextlib import ExitStack

    from assay.show.progress import Progress

    with ExitStack() as stack:
        return run(
            lambda field: stack.enter_context(
                Progress([item.name for item in (*field.contestants, *field.variants)], title=title)
            )
        )


def _with_passes(effort: Effort, costs: bool | None, attribute: bool) -> Effort:
    from dataclasses import replace

    return replace(effort, costs=effort.costs if costs is None else costs, attribute=attribute)


def _effort(name: str, budget: float | None) -> Effort:
    from dataclasses import replace

    from assay.measure import EFFORTS

    if name not in EFFORTS:
        raise unknown("effort", name, EFFORTS)
    effort = EFFORTS[name]
    if budget is None:
        return effort
    if effort.most_processes == 1:
        raise DataError(f"--budget has no meaning for --effort {name}, which measures one process of each contestant")
    return replace(effort, budget_s=budget, strict_budget=True)


def _load(
    reference: str,
    seed: int = 0,
    inputs: tuple[str, ...] = (),
    loss: str | None = None,
    optimizer: str | None = None,
    batch_size: int | None = None,
) -> Model:
    """The model, with what is not as in its source said on standard error."""
    from assay.bring import load

    model = load(reference, inputs=inputs, loss=loss, optimizer=optimizer, batch_size=batch_size, seed=seed)
    for note in model.notes:
        click.echo(f"note: {note}", err=True)
    return model


def _require_new(folder: Path) -> None:
    from assay.errors import OutputError

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} exists already and is not empty: choose another folder, or remove it first")


main.add_command(history)
main.add_command(diff)


@main.command()
@click.argument("model")
@click.option(
    "--to",
    "target",
    required=True,
    metavar="FRAMEWORK",
    help="pytorch, tensorflow, keras, keras/jax, keras/torch or jax; onnx for a file.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The folder to make; for onnx, the file: NAME.onnx."
)
@click.option(
    "--prove/--no-prove", "proven", default=True, help="Prove the code in float64 first, if the framework is installed."
)
@click.option(
    "--out-of-the-box",
    "own_defaults",
    is_flag=True,
    help="With the framework's own defaults (epsilons, momenta, slopes, the optimizer's constants) in place of MODEL's.",
)
@_inputs
@_loss
@_optimizer
@_seed
def write(model: str, target: str, out: Path, proven: bool, own_defaults: bool, **chosen: Any) -> None:
    """Write MODEL as one framework's own code into a new folder: model.py, train.py, weights, a README with the proof."""
    from assay.verbs.write import write as run

    if target == "onnx" and out.suffix != ".onnx":
        raise DataError(f"cannot write the ONNX file {out}: expected a name that ends in .onnx")
    brought = _load(model, chosen["seed"], chosen["inputs"], chosen["loss"], chosen["optimizer"])
    if target == "onnx":
        if own_defaults:
            raise DataError("ONNX has no defaults of its own to train with: leave --out-of-the-box out")
        click.echo(f"{', '.join(str(path) for path in brought.to_onnx(out))}: taken by ONNX's checker, shapes inferred")
        return
    result = run(brought, target, out, proven, own_defaults)
    click.echo(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
    click.echo(result)


@main.command()
@click.argument("model")
@_inputs
@_loss
@_optimizer
@_frameworks
@_modes
@_seed
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the proofs to this file.")
def prove(model: str, json_file: Path | None, **chosen: Any) -> None:
    """Prove that MODEL's code in every framework computes the same, in float64. Exit status: 0 equal, 1 different, 2 bad input."""
    from assay.show.files import check_writable
    from assay.show.proofs import print_proofs, save_proofs
    from assay.verbs.prove import prove as run

    if json_file is not None:
        check_writable(json_file)
    brought = _load(model, chosen["seed"], chosen["inputs"], chosen["loss"], chosen["optimizer"])
    who = (chosen["frameworks"], chosen["modes"], chosen["seed"])
    found = _watched(lambda watch: run(brought, *who, watch), model)
    if json_file is not None:
        save_proofs(found, json_file)
    print_proofs(found)
    raise SystemExit(_EQUAL if all(proof.status == "equal" for proof in found) else _DIFFERENT)


@main.command()
@click.argument("model")
@click.option(
    "--framework",
    "-f",
    "target",
    required=True,
    metavar="FRAMEWORK",
    help="pytorch, tensorflow, keras, keras/jax, keras/torch or jax.",
)
@click.option("--mode", default=None, help="How the framework executes; its default mode by default.")
@click.option("--epochs", type=click.IntRange(min=1), default=None, help="The workload's by default.")
@click.option("--batch-size", type=int, default=None, help="The workload's by default.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Save the trained model as this .onnx file, to be written to any framework.",
)
@_threads
@_device
@_seed
def train(
    model: str,
    target: str,
    mode: str | None,
    epochs: int | None,
    batch_size: int | None,
    out: Path | None,
    threads: int | None,
    device: str,
    seed: int,
) -> None:
    """Train MODEL natively in one framework on the workload's data, and keep the weights."""
    from assay.show.files import check_writable
    from assay.show.training import TrainingView
    from assay.verbs.train import train as run

    if out is not None:
        check_writable(out)
        if out.suffix != ".onnx":
            raise DataError(f"cannot save the trained model as {out}: expected a name that ends in .onnx")
    with TrainingView(f"{model} in {target}") as view:
        trained = run(
            _load(model, seed),
            target,
            mode=mode,
            epochs=epochs,
            batch_size=batch_size,
            threads=threads or 0,
            device=device,
            seed=seed,
            on_progress=view,
        )
    if out is not None:
        trained.model.to_onnx(out)
    click.echo(trained.describe())
    if out is not None:
        click.echo(f"trained model: {out}")
    if trained.stopped:
        raise SystemExit(_INTERRUPTED)


def _open_sizes(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for text in values:
        name, _sign, number = text.partition("=")
        if not name.strip() or not number.strip().isdecimal():
            raise click.BadParameter(f"{text!r}: expected a name and a number, as in batch=8")
        found[name.strip()] = int(number)
    return found


@main.command()
@click.argument("model")
@_inputs
@click.option(
    "--size",
    "sizes",
    multiple=True,
    callback=_open_sizes,
    metavar="NAME=NUMBER",
    help="A size that MODEL leaves open, such as batch=8, for counting; 1 by default. Once for each.",
)
@click.option(
    "--all/--folded", "every", default=None, help="Every module, or repeated ones as one; by the table's length."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write every module to this file.")
def summary(
    model: str, inputs: tuple[str, ...], sizes: dict[str, int], every: bool | None, json_file: Path | None
) -> None:
    """Show what MODEL holds: its modules with their classes, outputs, parameters and multiply-accumulates."""
    from assay.show.files import check_writable
    from assay.show.summary import print_summary, save_summary

    if json_file is not None:
        check_writable(json_file)
    found = _load(model, inputs=inputs).summary(sizes)
    if json_file is not None:
        save_summary(found, json_file)
    print_summary(found, folded=None if every is None else not every)


@main.command()
@click.argument("trained", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The file to write: NAME.safetensors by the original's names, NAME.pt, NAME.keras or NAME.onnx.",
)
@click.option("--into", metavar="MODEL", help="The original: file.py:callable, a .keras file; for .onnx any MODEL.")
@click.option(
    "--package",
    type=click.Path(path_type=Path),
    help="The written package that TRAINED was trained in; its folder by default.",
)
@_inputs
def carry(trained: Path, out: Path, into: str | None, package: Path | None, inputs: tuple[str, ...]) -> None:
    """Carry weights trained in a written package back into the model that it was written from.

    TRAINED is the package's folder, a safetensors file with its names (python train.py --save FILE), or an .onnx file.
    """
    from assay.show.files import check_writable
    from assay.verbs.carry import carry as run

    check_writable(out)
    carried = run(trained, package=package)
    original = None if into is None else _original(into, out, inputs)
    place, left = carried.save(out, original)
    click.echo(f"{place}: {len(carried.weights)} weights of {carried.name}")
    if left:
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        click.echo(f"left as they are, because the written model does not use them: {', '.join(left[:5])}{more}")


def _original(reference: str, out: Path, inputs: tuple[str, ...]) -> Any:
    """What weights are to be carried into: a brought model, a `.keras` file, or a live object."""
    if out.suffix == ".onnx":
        return _load(reference, inputs=inputs)
    if reference.endswith(".keras"):
        return Path(reference)
    if ":" in reference:
        from assay.bring.neutral import find_object

        return find_object(reference)[0]
    raise DataError(
        f"cannot load weights into {reference}: expected file.py:callable or a .keras file; without --into, "
        "--out NAME.safetensors has them by the original's names"
    )


@main.command()
@click.argument("model")
@_inputs
@_frameworks
def explain(model: str, inputs: tuple[str, ...], frameworks: tuple[str, ...] | None) -> None:
    """Show every place of MODEL where a framework, left to itself, would do something else, and what is written instead."""
    from assay.frameworks import find
    from assay.frameworks import frameworks as known
    from assay.show.explanation import print_places
    from assay.verbs.explain import explain as run

    names = dict.fromkeys(find(name.partition("/")[0]).name for name in frameworks or known())
    print_places(run(_load(model, inputs=inputs), tuple(names)))


@main.command()
@click.option(
    "--measure/--no-measure",
    "noise",
    default=True,
    help="Measure identical code against itself, for the smallest difference that can be told (half a minute).",
)
@_threads
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write what was found to this file.")
def doctor(noise: bool, threads: int | None, json_file: Path | None) -> None:
    """Examine this machine and its frameworks: what they are, how small a difference can be told, what would help."""
    from assay.show.diagnosis import print_diagnosis, save_diagnosis
    from assay.show.files import check_writable
    from assay.verbs.doctor import doctor as run

    if json_file is not None:
        check_writable(json_file)
    found = run(noise=noise, threads=threads or 0, tell=lambda text: click.echo(f"{text} …", err=True))
    if json_file is not None:
        save_diagnosis(found, json_file)
    print_diagnosis(found)


@main.command()
def workloads() -> None:
    """List the built-in workloads."""
    from assay.workloads import DEFAULT, WORKLOADS

    for item in WORKLOADS.values():
        training = item.training()
        direction = "≤" if training.metric == "bits-per-character" else "≥"
        default = " (the default)" if item.name == DEFAULT else ""
        click.echo(f"{item.name:<12}  {item.title}{default}")
        click.echo(f"{'':<12}  {item.description}; goal: {training.metric} {direction} {item.goal:g}")


@main.command()
def frameworks() -> None:
    """List the frameworks, their modes, what is installed, and how many of ONNX's official cases their code passes."""
    from assay.frameworks import frameworks as known
    from assay.frameworks import installed_versions
    from assay.testing.summaries import summaries

    passed = summaries()
    for framework in known().values():
        versions = installed_versions(framework.distributions)
        for target in framework.targets:
            absent = target.missing()
            status = (
                f"missing {', '.join(absent)}: pip install 'assay[{framework.extra}]'"
                if absent
                else ", ".join(f"{k} {v}" for k, v in versions.items())
            )
            click.echo(
                f"{target.name:<18} {', '.join(target.modes):<22} {_passed(passed.get(target.name)):<9} {status}"
            )
    for item in passed.values():
        if item["share"] is not None:
            click.echo(
                f"onnx: share of the {item['counted']:,} cases of onnx {item['onnx']} that the written code passes"
            )
            break


def _passed(found: dict[str, Any] | None) -> str:
    """The share of official cases that a framework passes, rounded down."""
    if found is None or found["share"] is None:
        return ""
    return f"onnx {int(found['share'] * 1000) / 10:.1f}%"


if __name__ == "__main__":
    main()
