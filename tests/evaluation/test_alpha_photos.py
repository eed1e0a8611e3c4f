"""Photos with true alphas from disk: two layouts, kinds of files, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softseg.errors import InputError
from softseg.evaluation.alpha_photos import AlphaPhotos
from tests.evaluation.alpha_data import HEIGHT, WIDTH, photo, true_alpha, write_alpha

REAL = Path(os.environ.get("SOFTSEG_DATA", Path(__file__).parents[3] / "shared" / "data")) / "alphamatting"


def test_a_folder_for_each(tmp_path: Path) -> None:
    write_alpha(tmp_path, "b")
    write_alpha(tmp_path, "a", trimap=False)
    photos = AlphaPhotos(tmp_path)
    assert photos.names == ["a", "b"]
    without, with_trimap = photos.load(0), photos.load(1)
    assert without.unknown is None
    np.testing.assert_array_equal(with_trimap.alpha, true_alpha() / 255)
    np.testing.assert_array_equal(with_trimap.photo.pixels, photo() / 255)
    assert with_trimap.unknown is not None
    assert np.flatnonzero(with_trimap.unknown[5]).tolist() == list(range(10, 30))
    assert [path.name for path in photos.files(1)] == ["image.png", "alpha.png", "trimap1.png"]


def test_of_several_trimaps_the_first(tmp_path: Path) -> None:
    target = write_alpha(tmp_path, "a")
    Image.fromarray(np.full((HEIGHT, WIDTH), 128, np.uint8)).save(target / "trimap2.png")
    unknown = AlphaPhotos(tmp_path).load(0).unknown
    assert unknown is not None and not unknown.all()


def test_files_side_by_side(tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "cat.jpg")
    Image.fromarray(true_alpha()).save(tmp_path / "cat_alpha.png")
    Image.fromarray(np.full((HEIGHT, WIDTH), 128, np.uint8)).save(tmp_path / "cat_trimap.png")
    Image.fromarray(photo()).save(tmp_path / "without.jpg")
    photos = AlphaPhotos(tmp_path)
    assert photos.names == ["cat"]
    found = photos.load(0)
    assert found.unknown is not None and found.unknown.all()
    np.testing.assert_array_equal(found.alpha, true_alpha() / 255)


@pytest.mark.parametrize("kind", ["rgb", "rgba", "16 bit", "1 bit"])
def test_kinds_of_gray(kind: str, tmp_path: Path) -> None:
    path = write_alpha(tmp_path, "a") / "alpha.png"
    values = true_alpha()
    expected = values / 255
    if kind == "16 bit":
        Image.fromarray(values.astype(np.uint16) * 257).save(path)
    elif kind == "1 bit":
        Image.fromarray(values > 127).save(path)
        expected = (values > 127).astype(float)
    else:
        Image.fromarray(values).convert(kind.upper()).save(path)
    np.testing.assert_allclose(AlphaPhotos(tmp_path).load(0).alpha, expected, atol=1e-12)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a folder, expected one with NAME/image\.png"):
        AlphaPhotos(tmp_path / "nothing")
    with pytest.raises(InputError, match="holds none of what was expected"):
        AlphaPhotos(tmp_path)
    target = write_alpha(tmp_path, "a")
    photos = AlphaPhotos(tmp_path)
    flat = np.full((HEIGHT, WIDTH), 255, np.uint8)
    for name, content, sentence in [
        ("trimap1.png", Image.fromarray(flat), "leaves nothing unknown"),
        ("alpha.png", Image.fromarray(flat[:, :-1]), f"has {WIDTH - 1} x {HEIGHT} pixels, but"),
        ("alpha.png", Image.fromarray(photo()), "is not gray"),
        ("alpha.png", Image.fromarray(flat).convert("P"), r"is not gray \(its mode is P\)"),
        ("alpha.png", None, "is no readable image"),
        ("image.png", None, "is not an image of a known kind"),
    ]:
        if content is None:
            (target / name).write_bytes(b"no image at all")
        else:
            content.save(target / name)
        with pytest.raises(InputError, match=sentence):
            photos.load(0)
    (target / "image.png").unlink()
    with pytest.raises(InputError, match=r"image.png does not exist"):
        photos.load(0)


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason=f"the photos of alphamatting.com are not there: {REAL}")
def test_the_real_photos() -> None:
    photos = AlphaPhotos(REAL)
    assert (len(photos.names), photos.names[0], photos.names[-1]) == (14, "GT01", "GT27")
    assert photos.files(3)[2].name == "trimap1.png"
    found = photos.load(3)
    assert found.unknown is not None
    assert 0.02 < found.unknown.mean() < 0.6
    soft = (found.alpha > 0.05) & (found.alpha < 0.95)
    assert soft[found.unknown].sum() > 0.99 * soft.sum()  # what is soft lies where the trimap leaves it open


def test_a_photo_that_is_turned_by_exif(tmp_path: Path) -> None:
    target = write_alpha(tmp_path, "a")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo()).save(target / "image.png", exif=exif)
    with pytest.raises(InputError, match="stored turned"):
        AlphaPhotos(tmp_path).load(0)
