"""Environments for releases: what may be asked for, made from a local index, and found again without one."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest
from measure_bench import Bench

from assay.errors import DataError, FrameworkMissing, InstallationError, NotFoundError
from assay.frameworks.base import Contestant
from assay.measure import venvs
from assay.measure.venvs import Environment, Wanted, provide
from assay.verbs.environments import choose_in, read_wanted


def wheel(folder: Path, name: str, version: str, **modules: str) -> None:
    """A wheel that an installer takes, made without a build."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        for module, text in modules.items():
            file.writestr(f"{module}/__init__.py", text)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of two releases of a small jax with its companions, and nothing else; a cache folder of its own."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for version in ("0.9.1", "0.9.2", "0.10.0"):
        wheel(folder, "jax", version, jax=f"__version__ = '{version}'")
    for name in ("flax", "optax", "numpy", "safetensors"):
        wheel(folder, name, "2.5.0", **{name: ""})
    config = tmp_path / "uv.toml"
    config.write_text(f'[pip]\nno-index = true\nfind-links = ["{folder}"]\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "cache"))
    return folder


MODULES = ("jax", "flax", "optax", "safetensors", "tensorflow")


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_an_environment_is_made_once(index: Path, installer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if installer == "pip":
        monkeypatch.setattr(venvs, "find_uv", lambda: None)
    elif venvs.find_uv() is None:
        pytest.fail("uv is among the requirements of the tests")
    said: list[str] = []
    wanted = Wanted("old", ("jax==0.9.*", "flax", "optax"))
    made = provide(wanted, MODULES, said.append)
    assert made.versions["jax"] == "0.9.2" and made.modules == ("jax", "flax", "optax", "safetensors")
    assert "jax==0.9.2" in made.lock
    assert [text.split(":")[1].split()[0] for text in said] == ["resolving", "installing"]
    program = "import jax, assay; print(jax.__version__, assay.__version__)"
    done = subprocess.run([str(made.python), "-c", program], env=made.variables(), capture_output=True, text=True)
    assert done.stdout.startswith("0.9.2 "), done.stderr
    neighbours = subprocess.run([str(made.python), "-c", "import click"], env=made.variables(), capture_output=True)
    assert neighbours.returncode != 0  # what stands beside this assay must not be seen there
    for file in index.iterdir():  # the index is gone: it is found again
        file.unlink()
    said.clear()
    assert provide(wanted, MODULES, said.append) == made and not said


def test_what_cannot_be_installed_is_one_message(index: Path) -> None:
    with pytest.raises(InstallationError, match=r"environment new: could not resolve it: .*jax") as caught:
        provide(Wanted("new", ("jax==9.9.9",)), MODULES)
    assert "\n" not in str(caught.value)
    cache = index.parent / "cache" / "environments"
    assert not [item for item in cache.iterdir() if (item / "complete").exists()]


def test_contestants_of_environments(index: Path) -> None:
    wanted, here = read_wanted(("old=jax>=0.9,<0.10", "new=jax==0.10.*"))
    assert not here and wanted[0].requirements == ("jax>=0.9,<0.10", "flax", "optax")
    field = choose_in(wanted, here, None, ("default",), lambda text: None)
    assert [item.name for item in field.contestants] == ["jax@old:jit", "jax@new:jit"]
    assert {item.target for item in field.contestants} == {"jax"}
    assert [item.versions["jax"] for item in field.environments] == ["0.9.2", "0.10.0"]
    with pytest.raises(
        FrameworkMissing, match=r"environment old .* holds no framework that was asked for: pytorch would"
    ):
        choose_in(wanted, here, ("pytorch",), None, lambda text: None)
    with pytest.raises(NotFoundError, match="unknown mode 'gragh'"):
        choose_in(wanted, here, None, ("gragh",), lambda text: None)


def test_environments_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "envs.toml"
    file.write_text('"2.12" = ["torch==2.12.*"]\nk = ["keras==3.14.*", "jax"]\n')
    wanted, here = read_wanted(("here",), file)
    assert here and [item.requirements for item in wanted] == [
        ("torch==2.12.*",),
        ("keras==3.14.*", "jax", "flax", "optax"),
    ]
    file.write_text('"2.12" = "torch"\n')
    with pytest.raises(DataError, match=r"2.12 should be a list of packages"):
        read_wanted((), file)
    file.write_text("")
    with pytest.raises(DataError, match="names no environment"):
        read_wanted((), file)
    file.write_text("[")
    with pytest.raises(DataError, match="cannot read"):
        read_wanted((), file)
    with pytest.raises(DataError, match="cannot read"):
        read_wanted((), tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("torch==2.12",), "expected a name and packages"),
        (("old",), "expected a name and packages"),
        (("a/b=torch",), "cannot be the name of an environment"),
        (("old=torch=2",), "is no requirement"),
        (("old=torch; rm -rf /",), "is no requirement"),
        (("a=torch", "a=jax"), "environments given twice: a"),
    ],
)
def test_what_is_no_environment(texts: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_wanted(texts)


def test_a_plan_names_its_environments(bench: Bench) -> None:
    entry = bench.entry("jax:jit")
    other = type(entry)(Contestant("jax", "jit", None, "old"), entry.folder, entry.data)
    with pytest.raises(NotFoundError, match="an environment that the plan does not have"):
        bench.plan(other)


def test_releases_have_processes_of_their_own(bench: Bench) -> None:
    """The same package under two names: both are proven and timed, each in its interpreter."""
    import sys

    from assay.measure import measure

    entry = bench.entry("jax:jit")
    python = bench.folder / "old" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nOWN_INTERPRETER=1 exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    venvs._link_assay(bench.folder / "old")
    environment = Environment("old", ("jax",), python, {}, (), "")
    other = type(entry)(Contestant("jax", "jit", None, "old"), entry.folder, entry.data)
    plan = bench.plan(entry, other, environments=(environment,), proving=None)
    record = measure(plan)
    names = {sample.contestant for sample in record.samples}
    assert names == {"jax:jit", "jax@old:jit"}, [item.reason for item in record.failures]
