"""Progress: one line per stage when piped, live on a terminal; and the stopwatch behind it."""

from __future__ import annotations

import pytest

from softseg.cli.progress import follow
from softseg.progress import Stopwatch


class Diary:
    def __init__(self) -> None:
        self.entries: list[str] = []

    def stage(self, name: str) -> None:
        self.entries.append(f"begin {name}")

    def done(self, name: str, seconds: float) -> None:
        assert seconds >= 0
        self.entries.append(f"end {name}")


def test_stopwatch_reports_and_adds_up() -> None:
    diary = Diary()
    stopwatch = Stopwatch(diary)
    with stopwatch("a"):
        pass
    first = stopwatch.timings["a"]
    with stopwatch("b"):
        pass
    with stopwatch("a"):
        pass
    assert list(stopwatch.timings) == ["a", "b"]
    assert stopwatch.timings["a"] > first
    assert diary.entries == ["begin a", "end a", "begin b", "end b", "begin a", "end a"]


def test_a_stage_that_fails_is_not_recorded() -> None:
    diary = Diary()
    stopwatch = Stopwatch(diary)
    with pytest.raises(ZeroDivisionError), stopwatch("a"):
        raise ZeroDivisionError
    assert stopwatch.timings == {}
    assert diary.entries == ["begin a"]


def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with follow("[red] a very long name " + "x" * 200) as progress:
        assert progress is not None
        progress.stage("matting affinity")
        progress.done("matting affinity", 0.84)
    text = capsys.readouterr()
    assert text.err == "[red] a very long name " + "x" * 200 + ": matting affinity 0.8 s\n"
    assert text.out == ""


def test_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with follow("[red].jpg") as progress:
        assert progress is not None
        for _ in range(2):
            progress.stage("matting affinity")
            progress.done("matting affinity", 0.84)
    text = capsys.readouterr()
    assert "[red].jpg: matting affinity" in text.err
    assert "✓" in text.err
    assert text.out == ""


def test_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with follow("photo.jpg", quiet=True) as progress:
        assert progress is None
    assert capsys.readouterr() == ("", "")
