"""`write`: native code into a folder, proven where the framework is installed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from assay.errors import DataError, FrameworkMissing, OutputError
from assay.frameworks import require
from assay.frameworks import target as find_target
from assay.model import Model
from assay.show import facts
from assay.verbs.explain import out_of_the_box
from assay.write import write as write_package
from assay.write.readme import readme


def write(model: Model, target: str, out: Path, proven: bool = True, own_defaults: bool = False) -> str:
    """Writes a package into a new folder; returns what is to be said about its proof, and about its changes if it is
    written with the framework's own defaults.

    Raises `OutputError` if the folder exists with content or cannot be written, `UnsupportedError` if the framework
    cannot express the model. Nothing is written if the proof finds a difference.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} exists already and is not empty: choose another folder, or remove it first")
    chosen = find_target(target)
    model, changes = out_of_the_box(model, chosen.framework) if own_defaults else (model, ())
    package = write_package(model, chosen.name)
    said, proofs = _prove(model, chosen.name) if proven else ("not proven: --no-prove", ())
    if own_defaults:
        said = f"{said}\nout of the box: {'; '.join(changes) or 'the model has these defaults already'}"
    with tempfile.TemporaryDirectory(prefix="assay-") as temporary:
        data = _data(model, Path(temporary))
        package.save(out, data, readme(package, [_proof_line(proof) for proof in proofs], said, data is not None))
    return said


def _prove(model: Model, target: str) -> tuple[str, tuple[facts.Proof, ...]]:
    from assay.verbs.prove import prove

    try:
        require(find_target(target))
    except FrameworkMissing as error:
        return f"not proven: {error}", ()
    try:
        proofs = prove(model, [target])
    except DataError as error:
        return f"not proven: {error}", ()
    wrong = [proof for proof in proofs if proof.status != "equal"]
    if wrong:
        raise OutputError(f"nothing was written: {wrong[0].contestant} is not proven equal: {wrong[0].reason}")
    worst = max((proof.worst.error for proof in proofs if proof.worst is not None), default=0.0)
    modes = ", ".join(proof.contestant for proof in proofs)
    return f"proven equal in float64 ({modes}); largest relative deviation {worst:.1e}", proofs


def _proof_line(proof: facts.Proof) -> str:
    checks = "; ".join(
        f"{item.check} {item.error:.1e}" if item.error is not None else item.check
        for item in proof.checks
        if item.tensors
    )
    return f"{proof.contestant}: {proof.status} ({checks})"


def _data(model: Model, folder: Path) -> Path | None:
    from assay.workloads import WORKLOADS
    from assay.workloads.data import save_arrays

    if model.dataset not in WORKLOADS:
        return None
    path = folder / "data.safetensors"
    save_arrays(WORKLOADS[model.dataset].data(), path)
    return path
