"""`assay history` and its commands, and the options by which `assay compare` keeps its runs."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from assay.errors import DataError

_store = click.option(
    "--store",
    metavar="URL",
    help="Where runs are kept: the path of an SQLite file, or postgresql://USER@HOST/DATABASE; $ASSAY_STORE, or a file "
    "in your data folder by default.",
)
_json = click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write it as JSON to this file.")


def _group_store(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
    return value or context.obj  # given before the command's name


# The same for a command of a group that has it too.
_own_store = click.option("--store", metavar="URL", callback=_group_store, help="Where runs are kept.")


_OWN = ("json_file", "html_file", "keep", "store", "no_store", "again", "resume")  # not a part of what is repeated


def keeping(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command whose run is kept, and can be repeated or gone on with; it is given a `recording`."""

    @functools.wraps(command)
    def kept(**given: Any) -> Any:
        again, resume = given.pop("again"), given.pop("resume")
        store, stored = given.pop("store"), not given.pop("no_store")
        if again is not None and resume is not None:
            raise click.UsageError("--again and --resume exclude each other")
        from assay.verbs.repeating import going_on, invocation_of, new, repeating

        if again is None and resume is None:
            recording = new(given["keep"], store, stored, invocation_of(given, _OWN))
            return command(**given, recording=recording)
        option, run = ("--again", again) if again is not None else ("--resume", resume)
        _refuse_others(option)
        if again is not None:
            before, recording = repeating(run, given["keep"], store, stored, say=_say)
        else:
            before, recording = going_on(run, store, stored)
        return command(**{**given, **before}, recording=recording)

    options = (
        click.option("--no-store", is_flag=True, help="Do not keep the run."),
        click.option(
            "--again", metavar="RUN", help="Repeat RUN: the same model, options and seed; says what has changed."
        ),
        click.option("--resume", metavar="RUN", help="Go on with RUN, which was cut short, where it stopped."),
    )
    for option in (*reversed(options), _store):
        kept = option(kept)
    return kept


def _say(text: str) -> None:
    click.echo(text, err=True)


def _refuse_others(option: str) -> None:
    """What a run was is repeated as it was; only where its results go may be said anew."""
    context = click.get_current_context()
    given = [
        parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
        for parameter in context.command.params
        if parameter.name not in _OWN
        and context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise DataError(f"{option} takes everything from the run: leave out {', '.join(given)}")


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--model", metavar="NAME", help="Only runs of this model: its name, or what you called it.")
@click.option("--framework", "-f", metavar="NAME", help="Only runs with this one: jax, keras/jax or jax:jit.")
@click.option("--since", metavar="DATE", help="Only runs from this date on, as 2026-11-22.")
@click.option("--until", metavar="DATE", help="Only runs up to this date, which is included.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.option(
    "--import",
    "imported",
    type=click.Path(path_type=Path),
    metavar="FILE|FOLDER",
    help="Put a run into the store: a folder of `assay compare --keep`, or one that could not be stored; a raw record; "
    "a file of `assay compare --json`; or a folder of such.",
)
@_store
@click.pass_context
def history(context: click.Context, /, as_json: bool, imported: Path | None, **chosen: Any) -> None:
    """List the runs that are kept; show, export or delete one.

    RUN is a run's name in the list or the beginning of it, `last`, or a file or folder that holds a run.
    """
    context.obj = chosen["store"]
    if context.invoked_subcommand is not None:
        given = [name for name in ("model", "framework", "since", "until") if chosen[name]]
        if given or as_json or imported:
            raise click.UsageError("options for the list stand alone, without a command")
        return
    if imported is not None:
        _import(imported, chosen["store"])
        return
    from assay.show.codec import encode
    from assay.show.runs import print_runs
    from assay.store.place import shown, store_url
    from assay.verbs.history import history as listed

    found = listed(**chosen)
    if as_json:
        click.echo(json.dumps([encode(run) for run in found], indent=1))
    else:
        print_runs(found, where=shown(store_url(chosen["store"])))


def _import(path: Path, store: str | None) -> None:
    from assay.verbs.history import import_runs

    said = {"added": "added", "updated": "updated: more of it is known now", "unchanged": "was there already"}
    for name, outcome in import_runs(path, store):
        click.echo(f"{name}  {said[outcome]}")


@history.command()
@click.argument("run", default="last")
@_own_store
def show(run: str, store: str | None) -> None:
    """Show RUN as it was shown when it ended; the last one without RUN."""
    from assay.show import show as shown
    from assay.verbs.history import comparison_of, find

    contents = find(run, store)
    click.echo(f"run {contents.id}, {contents.status}, started {contents.started}")
    shown(comparison_of(contents))


@history.command()
@click.argument("run")
@_json
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="Write a self-contained page to this file.")
@_own_store
def export(run: str, json_file: Path | None, html_file: Path | None, store: str | None) -> None:
    """Write RUN as the files that `assay compare --json` and `--html` write."""
    from assay.show.files import check_writable, save_html, write_text
    from assay.verbs.history import comparison_of, find

    if json_file is None and html_file is None:
        raise DataError("nothing to export to: give --json FILE, --html FILE or both")
    for path in (json_file, html_file):
        if path is not None:
            check_writable(path)
    contents = find(run, store)
    if json_file is not None:
        if contents.facts is None:
            comparison_of(contents)  # says what it is
        write_text(json_file, json.dumps(contents.facts, indent=1, allow_nan=False) + "\n")
    if html_file is not None:
        save_html(comparison_of(contents), html_file)


@history.command()
@click.argument("run")
@_own_store
def delete(run: str, store: str | None) -> None:
    """Delete RUN for good: its samples, its facts, and sources that no other run has."""
    from assay.verbs.history import delete_run

    click.echo(f"{delete_run(run, store)}  deleted")


@click.command()
@click.argument("a", metavar="RUN")
@click.argument("b", metavar="RUN")
@_json
@_store
def diff(a: str, b: str, json_file: Path | None, store: str | None) -> None:
    """Hold two runs of one protocol against each other, across time or machines: the second over the first.

    RUN is a run's name in `assay history` or the beginning of it, `last`, or a file or folder that holds a run.
    """
    from assay.show.difference import print_difference
    from assay.show.files import check_writable, write_text
    from assay.verbs.diff import diff as run

    if json_file is not None:
        check_writable(json_file)
    found = run(a, b, store)
    if json_file is not None:
        write_text(json_file, found.to_json() + "\n")
    print_difference(found)
