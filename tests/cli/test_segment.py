"""`softseg segment`: what is written, what is said, and the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from softseg.cli.jobs import plan
from softseg.errors import ModelError
from softseg.layers.export import write_arrays

from .conftest import FakePipeline, make_photo

Run = Callable[..., Any]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


class TestGood:
    def test_one_image(self, softseg: Run, pipeline: FakePipeline, photo: Path, tmp_path: Path) -> None:
        run = softseg("segment", photo, "-o", tmp_path / "out")
        assert (run.exit_code, run.exception) == (0, None)
        layers = [f"layer-{k:02d}.png" for k in range(5)]
        assert names(tmp_path / "out" / "photo") == sorted(["alphas.npz", *layers, "overview.png", "report.json"])
        folder = tmp_path / "out" / "photo"
        assert run.stdout == f"{photo} -> {folder}: 5 layers, 20.0 %, 20.0 %, 20.0 %, 20.0 %, 20.0 %\n"
        assert run.stderr == "photo.png: matting affinity 0.0 s\n"
        with np.load(folder / "alphas.npz") as archive:
            np.testing.assert_array_equal(archive["alphas"].sum(0), 1)

    def test_options_reach_the_pipeline_and_the_report(
        self, softseg: Run, pipeline: FakePipeline, photo: Path, tmp_path: Path
    ) -> None:
        options = ["--layers", 3, "--features", "hub", "--device", "cpu", "--solver", "exact", "--grouping", "kmeans"]
        assert softseg("segment", photo, "-o", tmp_path / "out", *options, "--seed", 4).exit_code == 0
        (call,) = pipeline.calls
        assert call.pop("progress") is not None
        assert call == {
            "name": "photo.png",
            "layers": 3,
            "features": "hub",
            "device": "cpu",
            "solver": "exact",
            "grouping": "kmeans",
            "seed": 4,
        }
        report = json.loads((tmp_path / "out" / "photo" / "report.json").read_text())
        assert report["settings"]["spectrum"]["solver"] == "exact"
        assert report["grouping"] == "kmeans"
        assert "matting affinity" in report["seconds"]

    def test_quiet(self, softseg: Run, pipeline: FakePipeline, photo: Path, tmp_path: Path) -> None:
        run = softseg("segment", photo, "-o", tmp_path / "out", "--quiet")
        assert (run.exit_code, run.output) == (0, "")

    def test_notes_are_said_aloud(self, softseg: Run, pipeline: FakePipeline, tmp_path: Path) -> None:
        photo = make_photo(tmp_path / "photo.png", mode="L")
        run = softseg("segment", photo, "-o", tmp_path / "out")
        assert f"{photo}: note: gray repeated in three channels\n" in run.stderr

    def test_folder_of_images(self, softseg: Run, pipeline: FakePipeline, tmp_path: Path) -> None:
        for name in ("b.png", "a.JPG", ".hidden.png"):
            make_photo(tmp_path / "in" / name)
        (tmp_path / "in" / "notes.txt").write_text("no image")
        make_photo(tmp_path / "in" / "deeper" / "c.png")
        run = softseg("segment", tmp_path / "in", "-o", tmp_path / "out")
        assert run.exit_code == 0
        assert [call["name"] for call in pipeline.calls] == ["a.JPG", "b.png"]
        assert names(tmp_path / "out") == ["a", "b"]
        assert run.stdout.endswith(f"2 of 2 images done, results in {tmp_path / 'out'}\n")

    def test_equal_stems_go_to_different_folders(self, softseg: Run, pipeline: FakePipeline, tmp_path: Path) -> None:
        photos = [make_photo(tmp_path / name) for name in ("a/x.png", "b/x.jpg", "c/X.png")]
        run = softseg("segment", *photos, "-o", tmp_path / "out")
        assert run.exit_code == 0
        assert names(tmp_path / "out") == ["X-3", "x", "x-2"]
        assert f"{photos[1]}: goes to {tmp_path / 'out' / 'x-2'}, because" in run.stderr

    def test_an_image_named_twice_is_done_once(
        self, softseg: Run, pipeline: FakePipeline, photo: Path, tmp_path: Path
    ) -> None:
        run = softseg("segment", photo, photo, "-o", tmp_path / "out")
        assert run.exit_code == 0
        assert len(pipeline.calls) == 1
        assert f"{photo}: named twice, done once" in run.stderr

    def test_a_stem_of_dots_stays_inside_the_output(self, tmp_path: Path) -> None:
        from softseg.cli.failures import Failures

        (job,) = plan([tmp_path / "...png"], tmp_path / "out", Failures())
        assert job.folder == tmp_path / "out" / "image"

    def test_features_from_a_file_for_one_image(
        self, softseg: Run, pipeline: FakePipeline, photo: Path, tmp_path: Path
    ) -> None:
        assert softseg("segment", photo, "-o", tmp_path / "out", "--features", "f.npy").exit_code == 0
        assert pipeline.calls[0]["features"] == "f.npy"


class TestFailures:
    def test_the_others_are_written(self, softseg: Run, pipeline: FakePipeline, photo: Path, tmp_path: Path) -> None:
        broken, missing = tmp_path / "broken.jpg", tmp_path / "missing.jpg"
        broken.write_text("no image at all")
        run = softseg("segment", broken, missing, photo, "-o", tmp_path / "out")
        assert run.exit_code == 1
        assert f"{broken} is not an image of a known kind" in run.stderr
        assert f"{missing} does not exist" in run.stderr
        assert "Traceback" not in run.output
        assert names(tmp_path / "out") == ["photo"]
        assert "1 of 3 images done" in run.stdout

    def test_failures_are_named_even_when_quiet(self, softseg: Run, pipeline: FakePipeline, tmp_path: Path) -> None:
        run = softseg("segment", tmp_path / "missing.jpg", "-o", tmp_path / "out", "--quiet")
        assert run.exit_code == 1
        assert run.stderr.count("\n") == 1
        assert "does not exist" in run.stderr

    def test_known_and_unknown_errors(self, softseg: Run, pipeline: FakePipeline, photo: Path, tmp_path: Path) -> None:
        errors: list[tuple[Exception, str]] = [
            (ModelError("the weights of hub are missing; run softseg models fetch"), "the weights of hub are missing"),
            (MemoryError(), "there is not enough memory for an image of this size; reduce it first"),
            (torch.OutOfMemoryError("tried to allocate"), "the GPU has not enough memory for an image of this size"),
            (ZeroDivisionError("by\nzero"), "unexpected ZeroDivisionError: by zero; please report this"),
        ]
        for error, sentence in errors:

            def fail(name: str, error: Exception = error) -> None:
                raise error

            pipeline.before = fail
            run = softseg("segment", photo, "-o", tmp_path / "out")
            assert run.exit_code == 1
            assert run.stderr.startswith(f"{photo}: {sentence}")
            assert run.stderr.count("\n") == 1
            assert not (tmp_path / "out").exists()

    def test_debug_prints_the_traceback(self, softseg: Run, pipeline: FakePipeline, tmp_path: Path) -> None:
        run = softseg("segment", tmp_path / "missing.jpg", "-o", tmp_path / "out", "--debug")
        assert run.exit_code == 1
        assert "Traceback (most recent call last)" in run.stderr

    def test_folder_without_images(self, softseg: Run, pipeline: FakePipeline, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        run = softseg("segment", tmp_path / "in", "-o", tmp_path / "out")
        assert run.exit_code == 1
        assert "is a folder without images in it" in run.stderr

    def test_existing_output_is_found_before_the_computation(
        self, softseg: Run, pipeline: FakePipeline, photo: Path, tmp_path: Path
    ) -> None:
        softseg("segment", photo, "-o", tmp_path / "out")
        before = {path: path.read_bytes() for path in (tmp_path / "out" / "photo").iterdir()}
        run = softseg("segment", photo, "-o", tmp_path / "out", "--seed", "1")
        assert run.exit_code == 1
        assert "exists already: nothing was written" in run.stderr
        assert "--overwrite" in run.stderr
        assert len(pipeline.calls) == 1
        assert {path: path.read_bytes() for path in (tmp_path / "out" / "photo").iterdir()} == before

    def test_overwrite(self, softseg: Run, pipeline: FakePipeline, photo: Path, tmp_path: Path) -> None:
        softseg("segment", photo, "-o", tmp_path / "out", "--layers", "7")
        assert softseg("segment", photo, "-o", tmp_path / "out", "--layers", "2", "--overwrite").exit_code == 0
        assert len([name for name in names(tmp_path / "out" / "photo") if name.startswith("layer-")]) == 2

    def test_full_disk(
        self, softseg: Run, pipeline: FakePipeline, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*args: object, **options: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("softseg.layers.export.write_arrays", full)
        run = softseg("segment", photo, "-o", tmp_path / "out")
        assert run.exit_code == 1
        assert "could not be written: the disk is full" in run.stderr
        assert names(tmp_path / "out") == []
        monkeypatch.setattr("softseg.layers.export.write_arrays", write_arrays)
        assert softseg("segment", photo, "-o", tmp_path / "out").exit_code == 0


class TestInterrupt:
    def test_ctrl_c_leaves_the_finished_ones(
        self, softseg: Run, pipeline: FakePipeline, photo: Path, tmp_path: Path
    ) -> None:
        def interrupt(name: str) -> None:
            if name == "second.png":
                raise KeyboardInterrupt

        pipeline.before = interrupt
        second = make_photo(tmp_path / "second.png")
        run = softseg("segment", photo, second, "-o", tmp_path / "out")
        assert run.exit_code == 130
        assert "interrupted: 1 images done, nothing half-written" in run.stderr
        assert names(tmp_path / "out") == ["photo"]

    @pytest.mark.skipif(sys.platform == "win32", reason="SIGINT is sent otherwise there")
    def test_sigint_to_the_process(self, photo: Path, tmp_path: Path) -> None:
        code = (
            "import os, signal, sys, time, types\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # in the background it is ignored
            "fake = types.ModuleType('softseg.pipeline')\n"
            "def segment(photo, **options):\n"
            "    options['progress'].done('begun', 0.0)\n"
            "    os.kill(os.getpid(), signal.SIGINT)\n"  # from inside: it cannot come too early or too late
            "    time.sleep(60)\n"
            "fake.segment = segment\n"
            "sys.modules['softseg.pipeline'] = fake\n"
            "from softseg.cli.main import main\n"
            "main()\n"
        )
        command = [sys.executable, "-c", code, "segment", str(photo), "-o", str(tmp_path / "out")]
        process = subprocess.run(command, capture_output=True, text=True)
        assert process.returncode == 130
        assert process.stderr == "photo.png: begun 0.0 s\ninterrupted: 0 images done, nothing half-written\n"
        assert names(tmp_path) == ["photo.png"]


class TestWrongUsage:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["--layers", "1"], "--layers"),
            (["--layers", "many"], "--layers"),
            (["--device", "tpu"], "tpu"),
            (["--solver", "magic"], "magic"),
            (["--grouping", "none"], "none"),
            (["--seed", "-1"], "--seed"),
            (["--colour"], "--colour"),
        ],
    )
    def test_options(
        self, arguments: list[str], sentence: str, softseg: Run, pipeline: FakePipeline, photo: Path, tmp_path: Path
    ) -> None:
        run = softseg("segment", photo, "-o", tmp_path / "out", *arguments)
        assert run.exit_code == 2
        assert sentence in run.stderr
        assert not pipeline.calls

    def test_missing_arguments(self, softseg: Run, photo: Path, tmp_path: Path) -> None:
        assert softseg("segment", photo).exit_code == 2
        assert softseg("segment", "-o", tmp_path / "out").exit_code == 2

    def test_file_in_place_of_the_output_folder(self, softseg: Run, photo: Path) -> None:
        run = softseg("segment", photo, "-o", photo)
        assert run.exit_code == 2
        assert "is a file" in run.stderr

    def test_features_of_one_image_for_several(
        self, softseg: Run, pipeline: FakePipeline, photo: Path, tmp_path: Path
    ) -> None:
        second = make_photo(tmp_path / "second.png")
        run = softseg("segment", photo, second, "-o", tmp_path / "out", "--features", "f.npy")
        assert run.exit_code == 2
        assert "f.npy holds the features of one image, but 2 images are named" in run.stderr
        assert not pipeline.calls
