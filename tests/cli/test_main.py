"""The command line as a whole: help, version, and what is imported before a verb runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

HEAVY = {"numpy", "scipy", "torch", "PIL", "skimage", "sklearn"}


@pytest.mark.parametrize("arguments", [[], ["--help"], ["segment", "--help"], ["--version"]])
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    code = "import sys, softseg.cli.main as cli\nif sys.argv[1:]: cli.main()"
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    imported = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in run.stderr.splitlines() if "|" in line}
    assert "typer" in imported
    assert not imported & HEAVY


def test_python_m_softseg() -> None:
    run = subprocess.run([sys.executable, "-m", "softseg", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("softseg")


def test_help_names_every_verb(softseg: Callable[..., Any]) -> None:
    text = softseg("--help").stdout
    assert all(verb in text for verb in ("segment", "features", "info"))


def test_no_arguments_print_the_help_and_are_wrong_usage(softseg: Callable[..., Any]) -> None:
    run = softseg()
    assert run.exit_code == 2
    assert "Usage: softseg" in run.output


def test_unknown_verb(softseg: Callable[..., Any]) -> None:
    assert softseg("melt").exit_code == 2
