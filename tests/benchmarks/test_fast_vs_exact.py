"""The comparison of the routes: what it keeps, and that each photo is judged by the truth beside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from benchmarks.quality import fast_vs_exact
from softseg.pipeline import decompose


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Three stripes, drawn by one person, with a true alpha of the last one."""
    y, x = np.mgrid[:60, :90]
    stripe = x // 30
    pixels = np.array([[40, 60, 200], [200, 60, 40], [60, 200, 60]])[stripe] + 12 * ((x + y) % 3)[..., None]
    folder = tmp_path / "data"
    folder.mkdir()
    Image.fromarray(pixels.astype(np.uint8)).save(folder / "stripes.jpg", quality=95)
    cells = np.empty((1, 1), dtype=object)
    cells[0, 0] = {"Segmentation": (stripe + 1).astype(np.uint16), "Boundaries": np.zeros((60, 90), np.uint8)}
    savemat(folder / "stripes.mat", {"groundTruth": cells})
    Image.fromarray((255 * (stripe == 2)).astype(np.uint8)).save(folder / "alpha.png")
    return folder / "stripes.jpg"


def test_a_photo_is_compared_and_judged(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, output = tmp_path / "kept", tmp_path / "found.json"
    arguments = ["", str(photo), "--pixels", "1500", "--kept", str(kept), "-o", str(output)]
    monkeypatch.setattr(sys, "argv", arguments)
    fast_vs_exact.main()
    found = json.loads(output.read_text(encoding="utf-8"))
    [row] = found["rows"]
    assert row["size"] == [47, 32]
    assert 0 <= row["same_grouping"] < 0.1
    for route in ("exact", "fast"):
        assert 0.6 < found["summary"]["covering"][route]["ois"] <= 1
    # No layer at all would be wrong by a third. So small a photo has too many eigenvectors for the exact route.
    assert 0 <= found["summary"]["alpha"]["fast"] < 0.01 and found["summary"]["alpha"]["exact"] < 0.25


def test_a_text_file_is_named_before_the_long_work(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "words.jpg").write_text("no photo", encoding="utf-8")
    monkeypatch.setattr(fast_vs_exact, "compare", None)  # must not be reached
    monkeypatch.setattr(sys, "argv", ["", str(photo), str(tmp_path / "words.jpg"), "-o", str(tmp_path / "found.json")])
    with pytest.raises(SystemExit):
        fast_vs_exact.main()
    assert "words.jpg" in capsys.readouterr().err and not (tmp_path / "found.json").exists()


def test_the_exact_route_runs_once(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = fast_vs_exact.reduced(photo, 1500)
    first = fast_vs_exact.exact_segments(image, tmp_path)
    monkeypatch.setattr(fast_vs_exact, "decompose", None)  # must not be needed again
    again = fast_vs_exact.exact_segments(image, tmp_path)
    np.testing.assert_array_equal(again.segments, first.segments)
    np.testing.assert_array_equal(again.features, first.features)
    monkeypatch.setattr(fast_vs_exact, "decompose", decompose)
    other = fast_vs_exact.reduced(photo, 1000)
    assert fast_vs_exact.exact_segments(other, tmp_path).segments.shape != first.segments.shape


def test_every_segment_goes_to_the_layer_with_which_it_shares_most() -> None:
    segments = np.array([[1.0, 0.6, 0, 0], [0, 0.4, 1, 0], [0, 0, 0, 1]])
    layers = np.array([[1.0, 1, 0, 0], [0, 0, 1, 1]])
    expected = [[1, 0.6, 0, 0], [0, 0.4, 1, 1]]
    np.testing.assert_allclose(fast_vs_exact.transfer(segments, layers), expected)
