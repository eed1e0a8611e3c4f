"""Writing results: what is in the files, and that all of them appear or none."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softseg.errors import InputError, OutputError
from softseg.layers import SoftSegments, check_target, layer_colors
from softseg.layers.report import peak_memory
from softseg.settings import Settings

H, W = 18, 24


def make_result(count: int = 3, seed: int = 0) -> SoftSegments:
    rng = np.random.default_rng(seed)
    alphas = rng.random((count, H, W)) * np.arange(count, 0, -1)[:, None, None]
    alphas = (alphas / alphas.sum(0)).astype(np.float32)
    return SoftSegments(
        alphas=alphas,
        image=rng.random((H, W, 3)),
        features=rng.random((H, W, 3)),
        settings=Settings(seed=seed),
        grouping="agglomerative",
        timings={"matting affinity": 0.25},
        statistics={"device": "cpu", "steps": np.int64(3), "worst": float("nan"), "values": np.arange(2.0)},
        model={"name": "embedded", "digest": "sha256:00"},
        notes=("gray repeated in three channels",),
        name="photo.jpg",
    )


@pytest.fixture
def result() -> SoftSegments:
    return make_result()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


FILES = ["alphas.npz", "layer-00.png", "layer-01.png", "layer-02.png", "overview.png", "report.json"]


class TestPictures:
    def test_length_and_areas(self, result: SoftSegments) -> None:
        assert len(result) == 3
        assert result.areas.sum() == pytest.approx(1)

    def test_overview_mixes_one_color_per_layer(self) -> None:
        alphas = np.zeros((2, H, W), dtype=np.float32)
        alphas[0], alphas[1] = 0.25, 0.75
        picture = np.asarray(replace(make_result(), alphas=alphas).overview())
        first, second = layer_colors(2)
        assert picture[0, 0].tolist() == np.rint(255 * (0.25 * first + 0.75 * second)).tolist()

    def test_layer_has_straight_alpha(self, result: SoftSegments) -> None:
        picture = result.layer(1)
        assert picture.mode == "RGBA"
        pixels = np.asarray(picture)
        np.testing.assert_array_equal(pixels[:, :, :3], np.rint(result.image * 255))
        np.testing.assert_array_equal(pixels[:, :, 3], np.rint(result.alphas[1] * 255))

    @pytest.mark.parametrize("k", [-1, 3])
    def test_no_such_layer(self, k: int, result: SoftSegments) -> None:
        with pytest.raises(InputError, match=f"there is no layer {k}, expected 0 to 2"):
            result.layer(k)

    def test_forty_colors_differ(self) -> None:
        assert len({tuple(color) for color in layer_colors(40)}) == 40
        assert layer_colors(41)[40].tolist() == layer_colors(1)[0].tolist()


class TestFiles:
    def test_what_is_written(self, result: SoftSegments, tmp_path: Path) -> None:
        folder = result.save(tmp_path / "not" / "yet" / "there")
        assert folder == tmp_path / "not" / "yet" / "there"
        assert names(folder) == FILES
        assert names(folder.parent) == ["there"]
        with np.load(folder / "alphas.npz") as archive:
            assert archive.files == ["alphas"]
            assert archive["alphas"].dtype == np.float32
            np.testing.assert_array_equal(archive["alphas"], result.alphas)
        with Image.open(folder / "layer-02.png") as picture:
            assert picture.mode == "RGBA"
            np.testing.assert_array_equal(np.asarray(picture), np.asarray(result.layer(2)))
        with Image.open(folder / "overview.png") as picture:
            assert (picture.mode, picture.size) == ("RGB", (W, H))

    def test_report(self, result: SoftSegments, tmp_path: Path) -> None:
        report = json.loads((result.save(tmp_path / "out") / "report.json").read_text(encoding="utf-8"))
        assert report["size"] == {"width": W, "height": H}
        assert report["settings"] == json.loads(json.dumps(result.settings.as_dict()))
        assert set(report["versions"]) == {"python", "softseg", "numpy", "scipy", "torch", "numba"}
        assert report["versions"]["numpy"] == np.__version__
        assert report["seconds"] == {"matting affinity": 0.25}
        assert report["statistics"] == {"device": "cpu", "steps": 3, "worst": None, "values": [0.0, 1.0]}
        assert report["model"] == {"name": "embedded", "digest": "sha256:00"}
        assert report["device"] == "cpu"
        assert report["layers"] == 3
        assert sum(report["areas"]) == pytest.approx(1, abs=1e-5)
        assert report["notes"] == ["gray repeated in three channels"]

    @pytest.mark.skipif(sys.platform == "win32", reason="not told there")
    def test_peak_memory_is_in_bytes(self) -> None:
        peak = peak_memory()
        assert peak is not None
        assert 10 * 2**20 < peak < 2**40

    def test_the_same_result_gives_the_same_bytes(self, result: SoftSegments, tmp_path: Path) -> None:
        one, two = result.save(tmp_path / "one"), make_result().save(tmp_path / "two")
        for name in FILES:
            if name != "report.json":  # holds the peak memory of the process
                assert (one / name).read_bytes() == (two / name).read_bytes()


class TestExisting:
    @pytest.mark.parametrize("name", FILES)
    def test_is_not_overwritten(self, name: str, result: SoftSegments, tmp_path: Path) -> None:
        (tmp_path / name).write_text("mine")
        with pytest.raises(OutputError, match=f"{name} exists already: .*--overwrite .*overwrite=True"):
            result.save(tmp_path)
        assert names(tmp_path) == [name]
        assert (tmp_path / name).read_text() == "mine"

    def test_overwrite_removes_stale_layers_and_nothing_else(self, tmp_path: Path) -> None:
        make_result(5).save(tmp_path)
        (tmp_path / "layer-notes.txt").write_text("mine")
        (tmp_path / "layer-1.png").write_text("mine")
        make_result(3, seed=1).save(tmp_path, overwrite=True)
        assert names(tmp_path) == sorted([*FILES, "layer-notes.txt", "layer-1.png"])
        assert (tmp_path / "layer-notes.txt").read_text() == "mine"
        with np.load(tmp_path / "alphas.npz") as archive:
            np.testing.assert_array_equal(archive["alphas"], make_result(3, seed=1).alphas)

    def test_other_files_are_no_obstacle(self, result: SoftSegments, tmp_path: Path) -> None:
        (tmp_path / "holiday.txt").write_text("mine")
        result.save(tmp_path)
        assert names(tmp_path) == sorted([*FILES, "holiday.txt"])


class TestNowhereToWrite:
    def test_file_in_place_of_the_folder(self, result: SoftSegments, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("mine")
        with pytest.raises(OutputError, match=r"out cannot be created: .*out is not a folder; choose another folder"):
            result.save(tmp_path / "out")
        assert (tmp_path / "out").read_text() == "mine"

    def test_file_in_place_of_a_parent(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="file is not a folder"):
            check_target(tmp_path / "file" / "out")

    def test_folder_that_may_not_be_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
        with pytest.raises(OutputError, match=r"writing to .* is not permitted; choose another folder"):
            check_target(tmp_path / "out")

    def test_check_creates_nothing(self, tmp_path: Path) -> None:
        check_target(tmp_path / "a" / "b")
        assert names(tmp_path) == []


class TestFailureHalfWay:
    @pytest.mark.parametrize("exists", [False, True])
    @pytest.mark.parametrize(
        ("error", "expected", "sentence"),
        [
            (OSError(28, "No space left on device"), OutputError, "out could not be written: the disk is full"),
            (KeyboardInterrupt(), KeyboardInterrupt, None),
        ],
    )
    def test_while_writing(
        self,
        exists: bool,
        error: BaseException,
        expected: type[BaseException],
        sentence: str | None,
        result: SoftSegments,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        before = save_earlier(tmp_path / "out") if exists else {}

        def full(*args: object, **options: object) -> None:
            raise error

        monkeypatch.setattr(SoftSegments, "overview", full)  # the last: the other files are written, or being written
        with pytest.raises(expected, match=sentence):
            result.save(tmp_path / "out", overwrite=True)
        assert contents(tmp_path / "out") == before
        assert names(tmp_path) == (["out"] if exists else [])

    @pytest.mark.parametrize("moves", range(1, 12))
    def test_while_moving_into_place(
        self, moves: int, result: SoftSegments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = save_earlier(tmp_path / "out")
        rename, count = Path.rename, 0

        def interrupted(self: Path, target: Path) -> Path:
            nonlocal count
            count += 1
            if count == moves:
                raise KeyboardInterrupt
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            result.save(tmp_path / "out", overwrite=True)
        assert contents(tmp_path / "out") == before


def save_earlier(folder: Path) -> dict[str, bytes]:
    make_result(4, seed=7).save(folder)
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")} if folder.exists() else {}
