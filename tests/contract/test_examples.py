"""The scripts in examples/ run, and the stages by hand end in the same layers as the one call."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
def test_the_stages_by_hand_end_in_the_same_layers(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "advanced.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    [difference] = re.findall(r"differ from softseg.segment\(\) by at most (\S+)", done.stdout)
    assert float(difference) == 0
    assert (tmp_path / "out" / "advanced" / "alphas.npz").is_file()
