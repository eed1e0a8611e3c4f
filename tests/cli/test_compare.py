"""`softseg compare`: figures of real runs, columns left out, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.baselines.tiny_networks import save_mask2former, save_pspnet

from .conftest import make_photo

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'softseg[baselines]'")

Run = Callable[..., Any]
COLUMNS = ("pspnet", "mask_rcnn", "mask2former", "spectral_matting", "ours")
ALL = tuple(word for name in COLUMNS for word in ("--without", name))
FAST = ("--layers", 2, "--device", "cpu")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SOFTSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_two_figures_of_two_photos(softseg: Run, photo: Path, tmp_path: Path) -> None:
    other = make_photo(tmp_path / "other.png")
    pspnet, mask2former = save_pspnet(tmp_path / "pspnet"), save_mask2former(tmp_path / "m2f")
    outputs = [tmp_path / "a.png", tmp_path / "a.PDF"]
    run = softseg(
        *("compare", photo, other, "-o", outputs[0], "-o", outputs[1], *FAST),
        *("--pspnet", pspnet, "--mask2former", mask2former, "--crop", "4,4,20,10"),
    )
    assert (run.exit_code, run.exception) == (0, None), run.stderr
    assert run.stdout == f"2 of 2 photos compared: {outputs[0]}, {outputs[1]}\n"
    assert "left out: Mask R-CNN: the weights of 'mask-rcnn' are not installed; run: softseg models fetch" in run.stderr
    for stage in ("PSPNet", "Mask2Former", "superpixels", "Spectral Matting", "relaxed sparsification"):
        assert f"other.png: {stage} " in run.stderr
    assert outputs[1].read_bytes().startswith(b"%PDF")
    wide = size(outputs[0])[0]
    run = softseg("compare", photo, "-o", tmp_path / "b.png", *FAST, "--without", "spectral_matting", "-q")
    assert (run.exit_code, run.output) == (0, "")
    # Five columns against two: the photo and ours.
    assert 2.2 < wide / size(tmp_path / "b.png")[0] < 2.6


def test_ours_has_the_colours_of_segment(softseg: Run, photo: Path, tmp_path: Path) -> None:
    run = softseg("compare", photo, "-o", tmp_path / "a.png", *FAST, "--without", "spectral_matting")
    assert run.exit_code == 0, run.stderr
    assert softseg("segment", photo, "-o", tmp_path / "out", *FAST, "-q").exit_code == 0
    with Image.open(tmp_path / "out" / "photo" / "overview.png") as picture, Image.open(photo) as original:
        overview = np.asarray(picture) / 255
        gray = np.asarray(original.convert("RGB")) / 255 @ [0.299, 0.587, 0.114]
    wanted = 255 * (0.4 * gray[:, :, None] + 0.6 * overview)
    with Image.open(tmp_path / "a.png") as picture:
        page = np.asarray(picture.convert("RGB")).astype(float)
    times = 13  # 20 x 40 pixels, the shorter side enlarged to at least 256
    row = wanted[10].repeat(times, axis=0)
    candidates = np.argwhere(abs(page - row[0]).max(2) < 1.5)
    places = [(y, x) for y, x in candidates if page[y, x : x + len(row)].shape == row.shape]
    assert sum(abs(page[y, x : x + len(row)] - row).max() < 1.5 for y, x in places) == times


def test_weights_that_are_named_must_be_there(softseg: Run, photo: Path, tmp_path: Path) -> None:
    run = softseg("compare", photo, "-o", tmp_path / "a.png", "--mask-rcnn", "my.pth")
    assert run.exit_code == 1
    assert run.stderr == (
        "there are no weights 'my.pth' for Mask R-CNN: no such file or folder, nor one of: mask-rcnn, mask-rcnn-v2, "
        "nor hub:OWNER/NAME; check the path\n"
    )
    assert not (tmp_path / "a.png").exists()


def test_one_photo_fails_the_others_are_drawn(softseg: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    small = tmp_path / "small.png"
    Image.new("RGB", (20, 20)).save(small)
    arguments = ("-o", tmp_path / "a.png", *FAST, "--without", "spectral_matting", "--crop", "25,0,10,10", "-q")
    run = softseg("compare", tmp_path / "bad.png", small, photo, *arguments)
    assert run.exit_code == 1
    assert "bad.png is not an image" in run.stderr
    assert f"{small}: the crop 25,0,10,10 is not inside" in run.stderr
    assert run.stderr.count("\n") == 2
    assert (tmp_path / "a.png").is_file()
    run = softseg("compare", small, "-o", tmp_path / "b.png", "--crop", "25,0,10,10", "-q")
    assert run.exit_code == 1
    assert not (tmp_path / "b.png").exists()


def test_an_existing_file_is_kept(softseg: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_text("mine")
    run = softseg("compare", photo, "-o", tmp_path / "a.png", "-o", tmp_path / "a.pdf", *FAST)
    assert run.exit_code == 1
    assert "a.pdf exists already" in run.stderr
    assert (tmp_path / "a.pdf").read_text() == "mine"
    assert not (tmp_path / "a.png").exists()
    run = softseg(
        "compare", photo, "-o", tmp_path / "a.pdf", *FAST, "--without", "spectral_matting", "--overwrite", "-q"
    )
    assert (run.exit_code, run.output) == (0, "")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-o", "a.jpg"), "a.jpg has none of the endings .png, .pdf"),
        (("-o", "a.png", "-o", "a.png"), "one file is named twice"),
        (("-o", "a.png", "--crop", "1,2,3"), "'1,2,3' is not X,Y,W,H"),
        (("-o", "a.png", "--crop", "1,2,-3,4"), "'1,2,-3,4' is not X,Y,W,H"),
        (("-o", "a.png", "--crop", "1,2,0,4"), "'1,2,0,4' has no pixels"),
        (("-o", "a.png", "--without", "unet"), "there is no column 'unet'; choose of: pspnet, mask_rcnn"),
        (("-o", "a.png", "--without", "pspnet", "--pspnet", "x"), "pspnet is left out, yet has weights"),
        (("-o", "a.png", *ALL), "no column remains"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], words: str, softseg: Run, photo: Path) -> None:
    run = softseg("compare", photo, *arguments)
    assert run.exit_code == 2
    assert words in run.stderr


def test_columns_are_those_of_the_figure() -> None:
    from softseg.cli import compare
    from softseg.evaluation.comparison import TITLES

    assert tuple(TITLES) == compare.COLUMNS == COLUMNS


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from softseg.cli.main import main\n"
        "sys.argv = ['softseg', 'compare', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        "print(sorted({'numpy', 'scipy', 'torch', 'torchvision', 'matplotlib'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_the_networks_are_in_the_list_of_models(softseg: Run, home: Path) -> None:
    lines = softseg("models").stdout.splitlines()
    (place,) = (i for i, text in enumerate(lines) if text.startswith("mask-rcnn "))
    assert lines[place].split()[1:4] == ["178", "MB", "BSD-3-Clause"]
    assert lines[place + 1].strip() == "run: softseg models fetch mask-rcnn"
    run = softseg("models", "verify", "mask2former")
    assert (run.exit_code, run.stderr) == (
        1,
        "the weights of 'mask2former' are not installed; run: softseg models fetch mask2former\n",
    )
