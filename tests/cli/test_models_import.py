"""`softseg models import`: where it writes, what it says, what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from softseg.cli.models_import import import_command
from softseg.errors import ModelError
from softseg.features import checkpoints
from softseg.features.checkpoints import ImportReport

Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "300")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(import_command)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The outputs that were asked for; the import itself is replaced."""
    outputs: list[Path] = []

    def fake(path: Path, output: Path) -> ImportReport:
        outputs.append(output)
        output.write_bytes(b"new")
        return ImportReport(output, 538, 55_264_076, ("global_step",), ("fc9/weights",), "0" * 64)

    monkeypatch.setattr(checkpoints, "import_checkpoint", fake)
    return outputs


def test_it_says_what_it_wrote_and_left_out(run: Run, imports: list[Path], tmp_path: Path) -> None:
    done = run("m.index", "-o", tmp_path / "seed.safetensors")
    assert (done.exit_code, done.exception) == (0, None)
    assert done.stdout == f"m.index -> {tmp_path / 'seed.safetensors'}: 538 tensors, 55,264,076 numbers\n"
    assert "1 variables of the optimizer were left out" in done.stderr
    assert "fc9/weights is not of this network and was left out" in done.stderr
    done = run("m.index", "-o", tmp_path / "seed.safetensors", "--overwrite", "-q")
    assert (done.exit_code, done.output) == (0, "")
    assert imports == [tmp_path / "seed.safetensors"] * 2


def test_by_default_it_goes_into_the_cache_folder(
    run: Run, imports: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOFTSEG_HOME", str(tmp_path / "home"))
    assert run("m.index").exit_code == 0
    assert imports == [tmp_path / "home" / "models" / "seed.safetensors"]


def test_nothing_is_overwritten_unasked(run: Run, imports: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "seed.safetensors"
    output.write_text("mine")
    done = run("m.index", "-o", output)
    assert done.exit_code == 1
    assert "exists already: nothing was written" in done.stderr
    assert (output.read_text(), imports) == ("mine", [])


def test_bad_requests(run: Run, imports: list[Path], tmp_path: Path) -> None:
    done = run("m.index", "-o", tmp_path / "seed.pth")
    assert done.exit_code == 2
    assert "does not end in .safetensors" in done.stderr
    done = run("m.index", "-o", tmp_path / "missing" / "seed.safetensors")
    assert done.exit_code == 1
    assert "missing is not a folder; create it first" in done.stderr
    (tmp_path / "folder.safetensors").mkdir()
    done = run("m.index", "-o", tmp_path / "folder.safetensors", "--overwrite")
    assert done.exit_code == 1
    assert "is a folder, expected a file" in done.stderr
    assert imports == []


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (ModelError("the checkpoint m is damaged"), 1, "m.index: the checkpoint m is damaged\n"),
        (KeyboardInterrupt(), 130, "interrupted: nothing was written\n"),
    ],
)
def test_failures_are_one_sentence(
    error: BaseException, code: int, sentence: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(checkpoints, "import_checkpoint", fail)
    done = run("m.index", "-o", tmp_path / "seed.safetensors")
    assert (done.exit_code, done.stderr) == (code, sentence)


def test_a_checkpoint_that_is_not_there(run: Run, tmp_path: Path) -> None:
    done = run(tmp_path / "m.index", "-o", tmp_path / "seed.safetensors")
    assert done.exit_code == 1
    assert "there is no checkpoint index" in done.stderr
    assert list(tmp_path.iterdir()) == []
