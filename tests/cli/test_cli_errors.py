"""Bad input gets one clear message and exit status 2, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from assay.cli import main

FRAMEWORKS = ("torch", "tensorflow", "keras", "jax", "flax", "onnx_ir", "onnx", "rich", "plotly")


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "digit-cnn"], "unknown workload 'digit-cnn': did you mean digits-cnn"),
        (["compare", "-f", "pytorhc"], "unknown framework 'pytorhc': did you mean pytorch"),
        (["compare", "-f", "keras/tesnorflow"], "did you mean keras/tensorflow"),
        (["compare", "--batch-size", "0"], "--batch-size 0: expected numbers of at least 1"),
        (["compare", "--batch-size", "8,x"], "--batch-size 8,x: expected whole numbers separated by commas"),
        (["compare", "--batch-size", "8,8"], "--batch-size 8,8: a number is given twice"),
        (["compare", "--threads", "0"], "--threads 0: expected numbers of at least 1"),
        (["compare", "--precision", "float16"], "unknown precision 'float16'"),
        (["compare", "--precision", "float32,float32"], "a precision is given twice"),
        (["compare", "--device", "gpu"], "unknown device 'gpu'"),
        (["compare", "--env", "torch==2.12"], "expected a name and packages"),
        (["compare", "--env", "old=jax=0.9"], "is no requirement"),
        (["compare", "--envs", "nowhere.toml"], "cannot read nowhere.toml"),
        (["train", "digits-cnn", "-f", "jax", "--device", "gpu"], "unknown device 'gpu'"),
        (["compare", "--batch-size", "5000"], "a batch size of 5000 does not fit"),
        (["compare", "--budget", "60"], "--budget has no meaning for --effort quick"),
        (["compare", "--effort", "standard", "--budget", "0"], "0.0 is not in the range x>=1"),
        (["doctor", "--json", "/no/such/folder/file"], "there is no folder /no/such/folder"),
        (["compare", "--effort", "quik"], "unknown effort 'quik': did you mean quick"),
        (["compare", "-m", "gragh"], "unknown mode 'gragh'"),
        (["compare", "missing.onnx"], "there is no file missing.onnx"),
        (["compare", "missing.py:net"], "there is no file missing.py"),
        (["compare", "no.such.module:net"], "there is no module 'no.such.module'"),
        (["compare", "--json", "/no/such/folder/x.json"], "/no/such/folder"),
        (["prove", "nothing"], "unknown workload 'nothing'"),
        (["train", "digits-cnn", "-f", "jaxx"], "did you mean jax"),
        (["train", "digits-cnn", "-f", "jax", "--mode", "eagr"], "did you mean eager"),
        (["train", "digits-cnn", "-f", "jax", "--batch-size", "9999"], "a batch size of 9999 does not fit"),
        (["train", "digits-cnn", "-f", "jax", "--out", "model.bin"], "ends in .onnx"),
        (["write", "digits-cnn", "--to", "torch", "--out", "x"], "unknown framework 'torch'"),
    ],
)
def test_one_message_and_status_two(arguments: list[str], message: str) -> None:
    status, output = run(*arguments)
    assert status == 2, output
    assert message in output
    assert "Traceback" not in output


def test_an_output_folder_that_exists(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    status, output = run("write", "digits-cnn", "--to", "jax", "--out", str(tmp_path), "--no-prove")
    assert status == 2
    assert "exists already and is not empty" in output
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_output_folder_that_cannot_be_written() -> None:
    status, output = run("write", "digits-cnn", "--to", "jax", "--out", "/proc/assay/package", "--no-prove")
    assert status == 2
    assert "cannot write" in output


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    status, output = run("write", "digits-cnn", "--to", "jax", "--out", str(tmp_path / "package"), "--no-prove")
    assert status == 2
    assert "No space left on device" in output
    assert list(tmp_path.iterdir()) == []


def test_a_malformed_onnx_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a model")
    status, output = run("prove", str(path))
    assert status == 2
    assert "is not an ONNX model that can be read" in output or "holds no graph" in output


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        (onnx.TensorProto.STRING, (2,), "holds strings"),
        (onnx.TensorProto.FLOAT, None, "is of unknown shape"),
        (onnx.TensorProto.FLOAT, (1 << 17, 1 << 17), "is too large"),
    ],
)
def test_what_cannot_be_proven_is_written_and_says_so(
    kind: int, shape: tuple[int, ...] | None, message: str, tmp_path: Path
) -> None:
    values = [onnx.helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph([node], "net", values[:1], values[1:])), tmp_path / "n.onnx"
    )
    status, output = run("write", str(tmp_path / "n.onnx"), "--to", "pytorch", "--out", str(tmp_path / "out"))
    assert status == 0, output
    assert message in output
    assert "Not proven: no random data can stand" in (tmp_path / "out" / "README.md").read_text()


def test_a_model_whose_shapes_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(
        "from assay import nn\n\ndef net():\n    return nn.build(nn.Sequential(nn.Linear(4, 2), nn.Linear(3, 2)), [nn.Input('x', (4,))])\n"
    )
    status, output = run("prove", f"{path}:net")
    assert status == 2
    assert "1 (Linear) expects a last axis of 3" in output


def test_user_code_that_raises(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text("def net():\n    raise RuntimeError('no')\n\ndef five():\n    return 5\n")
    assert "raised RuntimeError: no" in run("prove", f"{path}:net")[1]
    assert "returned a int: expected a" in run("prove", f"{path}:five")[1]
    assert "unknown attribute" in run("prove", f"{path}:nit")[1]


@pytest.mark.parametrize(
    "statement", ["import assay", "import assay.cli", "from assay.frameworks import frameworks; frameworks()"]
)
def test_no_framework_is_imported(statement: str) -> None:
    heavy = f"import sys; {statement}; print([name for name in {FRAMEWORKS!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_help_works_without_any_framework() -> None:
    block = (
        "import sys\n"
        "class Block:\n"
        f"    def find_spec(self, name, *_):\n        if name.split('.')[0] in {FRAMEWORKS!r}: raise ImportError(name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "import assay\nfrom assay.cli import main\nmain(['--help'])\n"
    )
    found = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert "compare" in found.stdout


def test_lists() -> None:
    status, output = run("workloads")
    assert status == 0 and "digits-cnn" in output and "the default" in output
    status, output = run("frameworks")
    assert status == 0 and "keras/jax" in output


def test_a_missing_framework_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "assay.frameworks.base.Target.missing", lambda self: ("jax",) if self.framework == "jax" else ()
    )
    status, output = run("prove", "digits-cnn", "-f", "jax")
    assert status == 2
    assert "pip install 'assay[jax]'" in output


def test_there_is_no_cuda_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    result = CliRunner().invoke(main, ["compare", "--device", "cuda"])
    assert result.exit_code == 2 and "there is no CUDA device here" in result.output and "--device cpu" in result.output
