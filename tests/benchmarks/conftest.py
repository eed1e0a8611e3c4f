"""The suite on small data in the real layouts, with methods and features that take no time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from benchmarks.quality import __main__ as command
from benchmarks.quality.suite import drawing, measurements
from softseg.evaluation import alpha_score, feature_score, synthetic
from softseg.evaluation.methods import METHODS, Subject
from softseg.pipeline import Decomposition
from tests.evaluation.alpha_data import Exact, Hard, write_alpha
from tests.evaluation.data import halves, write_bsds, write_msrc
from tests.evaluation.quarters import QuickParts, install, quarters

DOCS = """# Quality
<!-- table: verdicts -->
<!-- end -->
text of mine
<!-- table: alpha -->
<!-- end -->
<!-- table: regions -->
old
<!-- end -->
"""


class Suite(NamedTuple):
    """run : the command; committed : stands for benchmarks/quality; docs : for docs/quality.md; data, results : its
    folders; work : a word for every photo on which something was computed.
    """

    run: Callable[..., int]
    committed: Path
    docs: Path
    data: Path
    results: Path
    work: list[str]


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    work: list[str] = []
    _install_quick_methods(monkeypatch, work)
    made = [synthetic.composite("blurred", layers, size=(32, 40)) for layers in (2, 3)]
    committed, docs = tmp_path / "committed", tmp_path / "quality.md"
    committed.mkdir()
    docs.write_text(DOCS)
    for name, value in {"HERE": committed, "DOCS": docs, "composites": lambda: made}.items():
        monkeypatch.setattr(command, name, value)
    data, results = tmp_path / "data", tmp_path / "results"

    def run(*arguments: str) -> int:
        return command.main(["--data", str(data), "--results", str(results), *arguments])

    return Suite(run, committed, docs, data, results, work)


@pytest.fixture
def all_data(suite: Suite) -> Suite:
    """Three photos with alphas, three of BSDS 500, six of MSRC, of which two are for validation."""
    for name in "abc":
        write_alpha(suite.data / "alphamatting", name)
    (suite.data / "bsds500").mkdir()
    for name, at in zip("abc", (60, 90, 110), strict=True):
        write_bsds(suite.data / "bsds500" / "val", name, halves(at), halves(at - 5))
    for name in "abcdef":
        write_msrc(suite.data / "msrc", name, halves())
    return suite


def _install_quick_methods(monkeypatch: pytest.MonkeyPatch, work: list[str]) -> None:
    quick = install(monkeypatch)

    class Noted(QuickParts):
        def __call__(self, image: Any, **options: Any) -> Any:
            work.append("parts")
            return quick(image, **options)

    def extract(image: np.ndarray, model: str, device: str = "auto") -> np.ndarray:
        work.append("features")
        return np.repeat(image, 4, axis=2).astype(np.float32)

    def subject_of(photo: Any, model: str, *, seed: int, device: str) -> Subject:
        work.append("alpha")
        return Subject(photo, photo.pixels, seed)

    from softseg.evaluation import boundary_score, region_score

    for module in (region_score, boundary_score, drawing):
        monkeypatch.setattr(module, "decompose", Noted())
    for module in (region_score, drawing):
        monkeypatch.setattr(module, "feature_clusters", lambda features, count, seed=0: np.minimum(quarters(), count))
    for module in (feature_score, alpha_score, measurements):
        monkeypatch.setattr(module, "model_digest", lambda model: "0" * 64)
    for module in (feature_score, drawing):
        monkeypatch.setattr(module, "extract", extract)
    monkeypatch.setattr(alpha_score, "subject_of", subject_of)
    monkeypatch.setattr(Decomposition, "natural_count", 2)
    for name in measurements.METHODS:
        monkeypatch.setitem(METHODS, name, Exact if name == "softseg" else Hard)  # type: ignore[arg-type]
