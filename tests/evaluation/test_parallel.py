"""A task over many photos: in order of arrival, in several processes, and taken up where it was broken off."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from softseg.errors import OutputError
from softseg.evaluation import parallel
from softseg.evaluation.parallel import Kept, results


class Counting:
    """Doubles; remembers what it was asked for."""

    def __init__(self, fail_at: int | None = None, stop_at: int | None = None) -> None:
        self.asked: list[int] = []
        self._fail_at, self._stop_at = fail_at, stop_at

    def __call__(self, i: int) -> dict[str, Any]:
        self.asked.append(i)
        if i == self._stop_at:
            raise KeyboardInterrupt
        return {"failure": "no"} if i == self._fail_at else {"twice": 2 * i}


def process_of(i: int) -> tuple[int, int]:
    return 2 * i, os.getpid()


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for i, file in enumerate(files):
        file.write_bytes(bytes([i]))
    return Kept(tmp_path / "kept", ["a", "b", "c"], {"seed": 0}, [[file] for file in files])


def run(task: Callable[[int], dict[str, Any]], kept: Kept) -> dict[int, dict[str, Any]]:
    return dict(results(task, 3, kept=kept))


def test_one_process_keeps_the_order() -> None:
    assert list(results(lambda i: i + 1, 3)) == [(0, 1), (1, 2), (2, 3)]
    assert list(results(lambda i: i, 0, jobs=4)) == []


@pytest.mark.slow
def test_several_processes_do_the_same_and_are_others() -> None:
    found = dict(results(process_of, 4, jobs=2))
    assert {i: twice for i, (twice, _) in found.items()} == {0: 0, 1: 2, 2: 4, 3: 6}
    assert os.getpid() not in {process for _, process in found.values()}


def test_what_is_kept_is_not_computed_again(kept: Kept) -> None:
    first, second = Counting(), Counting()
    expected = {0: {"twice": 0}, 1: {"twice": 2}, 2: {"twice": 4}}
    assert run(first, kept) == expected
    assert run(second, kept) == expected
    assert (first.asked, second.asked) == ([0, 1, 2], [])


def test_a_run_that_was_broken_off_goes_on(kept: Kept) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Counting(stop_at=1), kept)
    assert len(list(kept.folder.iterdir())) == 1
    second = Counting()
    assert run(second, kept)[0] == {"twice": 0}
    assert second.asked == [1, 2]


def test_failures_are_tried_again(kept: Kept) -> None:
    assert run(Counting(fail_at=1), kept)[1] == {"failure": "no"}
    second = Counting()
    assert run(second, kept)[1] == {"twice": 2}
    assert second.asked == [1]


def test_other_settings_files_or_code_are_other_results(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    run(Counting(), kept)
    other = Counting()
    run(other, replace(kept, settings={"seed": 1}))
    assert other.asked == [0, 1, 2]
    kept.files[1][0].write_bytes(b"another photo")
    changed = Counting()
    run(changed, kept)
    assert changed.asked == [1]
    kept.files[1][0].unlink()
    gone = Counting()
    run(gone, kept)
    assert gone.asked == [1]
    monkeypatch.setattr(parallel, "_code", lambda: "newer")
    newer = Counting()
    run(newer, kept)
    assert newer.asked == [0, 1, 2]


def test_a_damaged_result_is_computed_again(kept: Kept) -> None:
    run(Counting(), kept)
    kept.path(0).write_text("{")
    kept.path(2).write_text("[]")
    second = Counting()
    assert run(second, kept)[0] == {"twice": 0}
    assert sorted(second.asked) == [0, 2]


def test_names_that_are_no_file_names(tmp_path: Path) -> None:
    kept = Kept(tmp_path, ["../a b", "../a/b", "x" * 300], {})
    paths = [kept.path(i) for i in range(3)]
    assert len(set(paths)) == 3
    for i, path in enumerate(paths):
        assert path.parent == tmp_path
        kept.store(i, {"i": i})
        assert kept.load(i) == {"i": i}


def test_a_file_in_the_place_of_the_folder(kept: Kept) -> None:
    kept.folder.write_text("mine")
    task = Counting()
    with pytest.raises(OutputError, match="is a file, expected a folder"):
        run(task, kept)
    assert not task.asked


def test_the_code_is_that_of_the_package() -> None:
    parallel._code.cache_clear()
    assert len(parallel._code()) == 64
