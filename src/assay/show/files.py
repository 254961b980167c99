"""Writing a comparison to files: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from assay.errors import DataError, NotFoundError, OutputError
from assay.show.facts import Comparison


def save_json(comparison: Comparison, path: str | Path) -> None:
    """Every fact and raw sample; see docs/json.md."""
    write_text(Path(path), comparison.to_json() + "\n")


def save_html(comparison: Comparison, path: str | Path) -> None:
    """One page that needs nothing but a browser."""
    from assay.show.html import render

    write_text(Path(path), render(comparison))


def read_json(path: str | Path) -> Comparison:
    """What `save_json` wrote."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {_why(error)}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text: expected a file that `assay compare --json FILE` wrote") from error
    return Comparison.from_json(text)


def check_writable(path: str | Path) -> None:
    """Raises OutputError now rather than after minutes of measuring; leaves nothing behind."""
    path = Path(path)
    try:
        if path.is_dir():
            raise OutputError(f"cannot write {path}: it is a folder; give the name of a file in it")
        if path.exists() and not path.is_file():
            return  # a device or a pipe: whether it takes the text shows when it is written
        folder = path.absolute().parent
        if not folder.is_dir():
            raise OutputError(f"cannot write {path}: there is no folder {folder}; make it first, or choose another")
        with tempfile.TemporaryFile(dir=folder):
            pass
        if path.exists():
            path.open("ab").close()
    except OSError as error:
        raise OutputError(f"cannot write {path}: {_why(error)}") from error


def write_text(path: Path, text: str) -> None:
    """Through a file beside it, so that a full disk or a kill leaves either the old file or the new one."""
    check_writable(path)
    if path.exists() and not path.is_file():
        _write_into(path, text)
        return
    path = path.resolve()  # a link stays a link: what it points to is replaced
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        os.replace(name, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {_why(error)}; free some space or choose another place") from error
    finally:
        Path(name).unlink(missing_ok=True)


def _write_into(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {_why(error)}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _why(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
