"""Virtual environments for workers, so that releases of a framework can be measured against each other.

An environment is asked for by requirements, resolved once into a lock of exact versions, and made once for each lock:
both are kept in the cache folder, so a second run needs no index. uv does it where it is installed, else pip.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

import assay
from assay.errors import DataError, InstallationError
from assay.measure import caches

# What a worker itself needs beside a framework.
_WORKER = ("numpy>=2.0; python_version >= '3.10'", "safetensors>=0.5")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PROBE = """
import importlib.metadata, importlib.util, json, sys
asked = json.loads(sys.argv[1])
print(json.dumps({
    "versions": {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()},
    "modules": [name for name in asked if importlib.util.find_spec(name) is not None],
}))
"""
_LIMIT = 1800.0  # seconds for one call of an installer


@dataclass(frozen=True)
class Wanted:
    """An environment by name, and what is to be in it: `Wanted("0.9", ("jax==0.9.*",))`."""

    name: str
    requirements: tuple[str, ...]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DataError(
                f"{self.name!r} cannot be the name of an environment: expected letters, digits, dots, dashes and underscores"
            )
        if not self.requirements:
            raise DataError(f"environment {self.name} has no packages: expected some, as {self.name}=jax==0.9.*")
        for text in self.requirements:
            try:
                Requirement(text)
            except InvalidRequirement as error:
                reason = str(error).splitlines()[0]
                raise DataError(
                    f"environment {self.name}: {text!r} is no requirement ({reason}); expected one as jax==0.9.*"
                ) from error

    @property
    def distributions(self) -> tuple[str, ...]:
        return tuple(Requirement(text).name.lower() for text in self.requirements)


@dataclass(frozen=True)
class Environment:
    """An environment that exists. `modules`: those asked about that it can import; `lock`: exact versions, as pip reads."""

    name: str
    requirements: tuple[str, ...]
    python: Path
    versions: Mapping[str, str]
    modules: tuple[str, ...]
    lock: str

    def variables(self) -> dict[str, str]:
        """What its workers' environment needs: this assay, and nothing else of the packages around it."""
        return {"PYTHONPATH": str(self.python.parent.parent / "assay-path"), "PYTHONNOUSERSITE": "1"}


def provide(wanted: Wanted, modules: Sequence[str], tell: Callable[[str], None] = lambda text: None) -> Environment:
    """The environment, made if there is none of its lock yet.

    Raises `InstallationError`, with the installer's own last words, if it cannot be resolved or installed.
    """
    home = caches.folder() / "environments"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InstallationError(f"cannot make {home} for environments: {error.strerror or error}") from error
    lock = _lock(wanted, home, tell)
    folder = home / _digest(lock, _platform())
    if not (folder / "complete").exists():
        tell(f"environment {wanted.name}: installing {', '.join(wanted.requirements)}")
        _make(wanted, lock, folder)
    _link_assay(folder)
    python = folder / "bin" / "python"
    found = json.loads(_call([str(python), "-I", "-c", _PROBE, json.dumps(list(modules))], wanted.name, "look into"))
    return Environment(wanted.name, wanted.requirements, python, found["versions"], tuple(found["modules"]), lock)


def _lock(wanted: Wanted, home: Path, tell: Callable[[str], None]) -> str:
    """Exact versions, resolved when they were first asked for; the index is asked again when the file is deleted."""
    asked = "\n".join(sorted({*wanted.requirements, *_WORKER})) + "\n"
    file = home / "locks" / f"{_digest(asked, _platform())}.txt"
    if file.exists():
        return file.read_text()
    tell(f"environment {wanted.name}: resolving {', '.join(wanted.requirements)}")
    if uv := find_uv():
        arguments = [*uv, "pip", "compile", "-", "--quiet", "--no-header", "--no-annotate", "--python", sys.executable]
        lock = _call(arguments, wanted.name, "resolve", given=asked)
    else:
        lock = _resolve_with_pip(asked, wanted.name)
    file.parent.mkdir(exist_ok=True)
    _write_whole(file, lock)
    return lock


def _resolve_with_pip(asked: str, name: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "asked.txt").write_text(asked)
        pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
        report = json.loads(_call([*pip, "-r", str(Path(folder) / "asked.txt")], name, "resolve"))
    exact = (item["metadata"] for item in report["install"])
    return "".join(sorted(f"{item['name']}=={item['version']}\n" for item in exact))


def _make(wanted: Wanted, lock: str, folder: Path) -> None:
    """Installs into a folder beside, which takes its place when it is whole: an interrupted one is never used."""
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        (partial / "lock.txt").write_text(lock)
        python, file = str(partial / "bin" / "python"), str(partial / "lock.txt")
        if uv := find_uv():
            _call(
                [*uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(partial)],
                wanted.name,
                "make",
            )
            _call([*uv, "pip", "install", "--quiet", "--python", python, "-r", file], wanted.name, "install")
        else:
            _call([sys.executable, "-m", "venv", str(partial)], wanted.name, "make")
            _call([python, "-m", "pip", "install", "--quiet", "-r", file], wanted.name, "install")
        (partial / "complete").touch()
        if not folder.exists():
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _link_assay(folder: Path) -> None:
    """This assay alone, without its neighbours: a folder of site-packages would bring the other framework release."""
    place = folder / "assay-path"
    place.mkdir(exist_ok=True)
    link, source = place / "assay", Path(assay.__file__).resolve().parent
    if link.is_symlink() and link.resolve() == source:
        return
    new = place / f"assay-{os.getpid()}"
    new.symlink_to(source)
    new.replace(link)


def find_uv() -> list[str] | None:
    """The command that runs uv: its Python package's, or one on the path."""
    if importlib.util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    found = shutil.which("uv")
    return [found] if found else None


def _call(arguments: list[str], name: str, what: str, given: str | None = None) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    try:
        done = subprocess.run(
            arguments, input=given, capture_output=True, text=True, timeout=_LIMIT, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallationError(f"environment {name}: could not {what} it: {error}") from error
    if done.returncode != 0:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise InstallationError(
            f"environment {name}: could not {what} it: {' '.join(said[-6:])[:600] or f'exit status {done.returncode}'}"
        )
    return done.stdout


def _write_whole(file: Path, text: str) -> None:
    partial = file.with_suffix(f".{os.getpid()}")
    partial.write_text(text)
    partial.replace(file)


def _platform() -> str:
    return f"{sys.version_info[:2]} {sysconfig.get_platform()} {sys.base_prefix}"


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:20]
