"""Reading photographs: every kind of good and bad input, and what is said about it."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from softseg.errors import ImageError, InputError, OutputError
from softseg.images import MINIMUM_SIDE, Photo, check_image, check_labels, check_map, load_photo, write_atomically

H, W = 20, 30


@pytest.fixture
def rgb() -> np.ndarray:
    """A smooth (20, 30, 3) uint8 picture that differs under every flip and rotation."""
    y, x = np.mgrid[0:H, 0:W]
    return np.dstack([y * 12, x * 8, (x + y) * 5]).astype(np.uint8)


def deep_png(pixels: np.ndarray) -> bytes:
    """A 16-bit PNG, which Pillow cannot write in colour."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[pixels.shape[2]]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class TestGoodFiles:
    def test_png_is_read_exactly_and_without_a_note(self, rgb: np.ndarray, tmp_path: Path) -> None:
        Image.fromarray(rgb).save(tmp_path / "a.png")
        photo = load_photo(str(tmp_path / "a.png"))
        assert photo.pixels.dtype == np.float64
        np.testing.assert_array_equal(photo.pixels, rgb / 255)
        assert (photo.name, photo.notes) == ("a.png", ())

    @pytest.mark.parametrize("mode", ["L", "1"])
    def test_gray_is_repeated(self, mode: str, rgb: np.ndarray, tmp_path: Path) -> None:
        gray = Image.fromarray(rgb).convert(mode)
        gray.save(tmp_path / "a.png")
        photo = load_photo(tmp_path / "a.png")
        expected = np.asarray(gray.convert("L")) / 255
        np.testing.assert_array_equal(photo.pixels, np.dstack([expected] * 3))
        assert photo.notes == ("gray repeated in three channels",)

    def test_palette(self, rgb: np.ndarray, tmp_path: Path) -> None:
        palette = Image.fromarray(rgb).quantize(16)
        palette.save(tmp_path / "a.png")
        photo = load_photo(tmp_path / "a.png")
        np.testing.assert_array_equal(photo.pixels, np.asarray(palette.convert("RGB")) / 255)
        assert photo.notes == ("palette colours converted to RGB",)

    def test_palette_with_a_transparent_color(self, tmp_path: Path) -> None:
        palette = Image.new("P", (W, H), 0)
        palette.putpalette([255, 0, 0, 0, 0, 255])
        palette.paste(1, (0, 0, W // 2, H))
        palette.save(tmp_path / "a.png", transparency=1)
        photo = load_photo(tmp_path / "a.png")
        assert photo.pixels[0, 0].tolist() == [1, 1, 1]
        assert photo.pixels[0, -1].tolist() == [1, 0, 0]
        assert "alpha channel composited over white" in photo.notes

    def test_cmyk(self, rgb: np.ndarray, tmp_path: Path) -> None:
        Image.fromarray(rgb).convert("CMYK").save(tmp_path / "a.tif")
        photo = load_photo(tmp_path / "a.tif")
        assert np.abs(photo.pixels - rgb / 255).max() < 0.01
        assert photo.notes == ("CMYK converted to RGB",)

    def test_16_bit_gray_keeps_its_depth(self, tmp_path: Path) -> None:
        gray = np.linspace(0, 65535, H * W).astype(np.uint16).reshape(H, W, 1)
        (tmp_path / "a.png").write_bytes(deep_png(gray))
        photo = load_photo(tmp_path / "a.png")
        np.testing.assert_allclose(photo.pixels[:, :, :1], gray / 65535, atol=1e-12)
        assert photo.notes == ("gray repeated in three channels",)

    @pytest.mark.parametrize("channels", [3, 4])
    def test_16_bit_color_png_is_read_with_8_bits_and_says_so(self, channels: int, tmp_path: Path) -> None:
        pixels = np.full((H, W, channels), 65535, dtype=np.uint16)
        pixels[:, :, 0] = np.linspace(0, 65535, W).astype(np.uint16)
        (tmp_path / "a.png").write_bytes(deep_png(pixels))
        photo = load_photo(tmp_path / "a.png")
        assert np.abs(photo.pixels - pixels[:, :, :3] / 65535).max() < 1 / 255
        assert photo.notes == ("16 bits per channel read with 8",)

    def test_16_bit_color_tiff_keeps_its_depth(self, tmp_path: Path) -> None:
        tifffile = pytest.importorskip("tifffile")
        pixels = np.random.default_rng(0).integers(0, 65536, (H, W, 3)).astype(np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
        photo = load_photo(tmp_path / "a.tif")
        np.testing.assert_allclose(photo.pixels, pixels / 65535, atol=1e-12)
        assert photo.notes == ()

    def test_alpha_is_composited_over_white(self, rgb: np.ndarray, tmp_path: Path) -> None:
        alpha = np.linspace(0, 255, W).astype(np.uint8)[None].repeat(H, 0)
        Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / "a.png")
        photo = load_photo(tmp_path / "a.png")
        share = alpha[:, :, None] / 255
        np.testing.assert_allclose(photo.pixels, share * rgb / 255 + 1 - share, atol=1e-12)
        assert photo.notes == ("alpha channel composited over white",)

    def test_opaque_alpha_needs_no_note(self, rgb: np.ndarray, tmp_path: Path) -> None:
        Image.fromarray(rgb).convert("RGBA").save(tmp_path / "a.png")
        photo = load_photo(tmp_path / "a.png")
        np.testing.assert_array_equal(photo.pixels, rgb / 255)
        assert photo.notes == ()

    def test_gray_with_alpha(self, tmp_path: Path) -> None:
        Image.new("LA", (W, H), (100, 0)).save(tmp_path / "a.png")
        photo = load_photo(tmp_path / "a.png")
        assert (photo.pixels == 1).all()
        assert photo.notes == ("gray repeated in three channels", "alpha channel composited over white")

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_orientation_is_applied(self, orientation: int, rgb: np.ndarray, tmp_path: Path) -> None:
        stored = Image.fromarray(rgb)
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored.save(tmp_path / "a.png", exif=exif)
        photo = load_photo(tmp_path / "a.png")
        expected = {
            1: rgb,
            2: rgb[:, ::-1],
            3: rgb[::-1, ::-1],
            4: rgb[::-1],
            5: rgb.swapaxes(0, 1),
            6: np.rot90(rgb, -1),
            7: rgb[::-1, ::-1].swapaxes(0, 1),
            8: np.rot90(rgb),
        }[orientation]
        np.testing.assert_array_equal(photo.pixels, expected / 255)
        assert photo.notes == (() if orientation == 1 else ("turned upright as its EXIF orientation says",))

    @pytest.mark.parametrize("suffix", [".gif", ".tif", ".png", ".webp"])
    def test_first_frame_of_several(self, suffix: str, tmp_path: Path) -> None:
        frames = [Image.new("RGB", (W, H), color) for color in ("red", "lime", "blue")]
        options: dict[str, Any] = {"lossless": True} if suffix == ".webp" else {}
        frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:], **options)
        photo = load_photo(tmp_path / f"a{suffix}")
        assert photo.pixels[0, 0].tolist() == [1, 0, 0]
        assert "3 frames or pages: only the first is used" in photo.notes

    def test_constant_color_is_a_photo(self, tmp_path: Path) -> None:
        Image.new("RGB", (W, H), (51, 51, 51)).save(tmp_path / "a.png")
        assert (load_photo(tmp_path / "a.png").pixels == 0.2).all()

    def test_icc_profile_of_srgb_changes_nothing(self, rgb: np.ndarray, tmp_path: Path) -> None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        Image.fromarray(rgb).save(tmp_path / "a.png", icc_profile=profile)
        photo = load_photo(tmp_path / "a.png")
        np.testing.assert_array_equal(photo.pixels, rgb / 255)
        assert photo.notes == ()

    def test_icc_profile_is_converted_to_srgb(self, rgb: np.ndarray, tmp_path: Path) -> None:
        Image.fromarray(rgb).save(tmp_path / "a.png", icc_profile=swapped_profile())
        photo = load_photo(tmp_path / "a.png")
        assert photo.notes == ("colours converted from sRGX built-in to sRGB",)
        assert np.abs(photo.pixels - rgb[:, :, ::-1] / 255).max() < 0.02

    def test_broken_icc_profile_is_said_aloud(self, rgb: np.ndarray, tmp_path: Path) -> None:
        Image.fromarray(rgb).save(tmp_path / "a.png", icc_profile=b"not a profile")
        photo = load_photo(tmp_path / "a.png")
        np.testing.assert_array_equal(photo.pixels, rgb / 255)
        assert len(photo.notes) == 1
        assert photo.notes[0].startswith("its ICC profile is unusable (")
        assert photo.notes[0].endswith("colours taken as sRGB")

    def test_heic(self, rgb: np.ndarray, tmp_path: Path) -> None:
        pillow_heif = pytest.importorskip("pillow_heif")
        pillow_heif.from_pillow(Image.fromarray(rgb).resize((64, 64))).save(tmp_path / "a.heic", quality=95)
        assert load_photo(tmp_path / "a.heic").pixels.shape == (64, 64, 3)

    def test_pil_image(self, rgb: np.ndarray) -> None:
        photo = load_photo(Image.fromarray(rgb))
        np.testing.assert_array_equal(photo.pixels, rgb / 255)
        assert photo.name == "image"

    def test_pil_image_at_a_later_frame(self, tmp_path: Path) -> None:
        frames = [Image.new("RGB", (W, H), color) for color in ("red", "lime", "blue")]
        frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
        with Image.open(tmp_path / "a.tif") as image:
            image.seek(1)
            photo = load_photo(image)
        assert photo.pixels[0, 0].tolist() == [0, 1, 0]
        assert photo.notes == ("3 frames or pages: only number 2 is used",)

    def test_photo_is_returned_as_it_is(self, rgb: np.ndarray) -> None:
        photo = Photo(rgb / 255)
        assert load_photo(photo) is photo

    def test_jpeg_with_exif_equals_pillow(self, rgb: np.ndarray, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(rgb).save(tmp_path / "a.jpg", exif=exif)
        with Image.open(tmp_path / "a.jpg") as image:
            expected = np.asarray(ImageOps.exif_transpose(image)) / 255
        np.testing.assert_array_equal(load_photo(tmp_path / "a.jpg").pixels, expected)


def swapped_profile() -> bytes:
    """The profile of sRGB with red and blue exchanged, under a name of its own."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for encoding in ("ascii", "utf-16-be"):
        profile = profile.replace("sRGB".encode(encoding), "sRGX".encode(encoding))
    return profile.replace(b"rXYZ", b"swap", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"swap", b"bXYZ", 1)


class TestBadFiles:
    def sentence(self, path: Path) -> str:
        with pytest.raises(ImageError) as caught:
            load_photo(path)
        text = str(caught.value)
        assert text.startswith(str(path))
        assert "\n" not in text
        return text

    def test_missing(self, tmp_path: Path) -> None:
        assert "does not exist, expected an image file; check the name" in self.sentence(tmp_path / "a.jpg")

    def test_folder(self, tmp_path: Path) -> None:
        assert "is a folder, expected an image file; name a file inside it" in self.sentence(tmp_path)

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").touch()
        assert "is empty (0 bytes), expected an image file" in self.sentence(tmp_path / "a.jpg")

    @pytest.mark.skipif(sys.platform == "win32", reason="no devices with a path")
    def test_device(self) -> None:
        assert "is not a regular file" in self.sentence(Path("/dev/null"))

    def test_text_named_jpg(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_text("This is no photograph.\n" * 20)
        assert "is not an image of a known kind, expected for example JPEG" in self.sentence(tmp_path / "a.jpg")

    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tif"])
    def test_truncated(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"a{suffix}"
        noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3)).astype(np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        text = self.sentence(path)
        assert "is damaged, incomplete" in text or "is not an image of a known kind" in text

    @pytest.mark.parametrize("cut", range(1, 60, 7))
    def test_a_file_of_a_few_bytes(self, cut: int, tmp_path: Path) -> None:
        buffer = BytesIO()
        Image.new("RGB", (W, H)).save(buffer, format="png")
        (tmp_path / "a.png").write_bytes(buffer.getvalue()[:cut])
        assert "expected" in self.sentence(tmp_path / "a.png") or "damaged" in self.sentence(tmp_path / "a.png")

    @pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 2), (3, 3), (15, 15), (15, 100), (100, 1)])
    def test_too_small(self, width: int, height: int, tmp_path: Path) -> None:
        Image.new("RGB", (width, height)).save(tmp_path / "a.png")
        text = self.sentence(tmp_path / "a.png")
        assert f"has {width} x {height} pixels, expected at least {MINIMUM_SIDE} x {MINIMUM_SIDE}" in text

    @pytest.mark.parametrize(
        "limit", [H * W - 1, H * W // 3]
    )  # Pillow warns above the limit, and raises above twice it
    def test_decompression_bomb(self, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        Image.new("RGB", (W, H)).save(tmp_path / "a.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert f"has more pixels than the limit of {limit:,}" in self.sentence(tmp_path / "a.png")

    def test_heic_without_pillow_heif(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
        assert "run: pip install softseg[heif]" in self.sentence(tmp_path / "a.heic")

    def test_postscript_is_not_run(self, tmp_path: Path) -> None:
        Image.new("RGB", (W, H)).save(tmp_path / "a.eps")
        assert "is not an image of a known kind" in self.sentence(tmp_path / "a.eps")

    def test_gray_of_32_bits_out_of_range(self) -> None:
        with pytest.raises(ImageError, match="gray values run from 70000 to 70000, expected 0 to 65535"):
            load_photo(Image.new("I", (W, H), 70000))

    def test_another_type(self) -> None:
        with pytest.raises(ImageError, match="the image is a list, expected a path, a PIL image or a NumPy array"):
            load_photo([[0, 1]])


class TestArrays:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
    def test_depths(self, dtype: type, rgb: np.ndarray) -> None:
        unit = rgb / 255
        whole = np.issubdtype(dtype, np.integer)
        array: np.ndarray = np.rint(unit * np.iinfo(dtype).max).astype(dtype) if whole else unit.astype(dtype)
        photo = load_photo(array)
        np.testing.assert_allclose(photo.pixels, unit, atol=1e-5)
        assert (photo.name, photo.notes) == ("image", ())

    @pytest.mark.parametrize("shape", [(H, W), (H, W, 1)])
    def test_gray(self, shape: tuple[int, ...]) -> None:
        photo = load_photo(np.full(shape, 0.5))
        assert photo.pixels.shape == (H, W, 3)
        assert photo.notes == ("gray repeated in three channels",)

    def test_alpha(self) -> None:
        array = np.zeros((H, W, 4), dtype=np.float32)
        array[:, :, 3] = 0.25
        photo = load_photo(array)
        assert (photo.pixels == 0.75).all()
        assert photo.notes == ("alpha channel composited over white",)

    @pytest.mark.parametrize(
        ("array", "sentence"),
        [
            (np.zeros((3, H, W)), r"shape \(3, 20, 30\), expected \(h, w, 3\); .* np.moveaxis\(image, 0, -1\)"),
            (np.zeros((1, H, W, 3)), r"pass one image of the batch at a time: image\[0\]"),
            (np.zeros(H), r"shape \(20,\), expected \(h, w, 3\)"),
            (np.zeros((H, W, 2)), r"shape \(20, 30, 2\), expected \(h, w, 3\)"),
            (np.full((H, W, 3), np.nan), "1800 values that are NaN or infinite"),
            (np.full((H, W, 3), np.inf), "1800 values that are NaN or infinite"),
            (np.full((H, W, 3), 200.0), r"values from 200 to 200, expected \[0, 1\]; divide by 255"),
            (np.full((H, W, 3), 60000.0), "divide by 65535"),
            (np.full((H, W, 3), -0.5), r"map \[-1, 1\] to it by \(image \+ 1\) / 2"),
            (np.full((H, W, 3), -3.0), r"values from -3 to -3, expected \[0, 1\]; scale the values"),
            (np.full((H, W, 3), None), "type object, expected uint8, uint16 or floats"),
            (np.zeros((H, W, 3), dtype=np.int64), "type int64, expected uint8, uint16 or floats"),
            (np.zeros((H, W, 3), dtype=complex), "type complex128, expected"),
            (np.zeros((0, W, 3)), "expected at least one pixel"),
            (np.zeros((3, 3, 3)), "has 3 x 3 pixels, expected at least 16 x 16"),
        ],
    )
    def test_bad_arrays(self, array: np.ndarray, sentence: str) -> None:
        with pytest.raises(ImageError, match=sentence):
            load_photo(array)


class TestChecks:
    def test_image_is_not_copied_without_need(self, rgb: np.ndarray) -> None:
        image = rgb / 255
        assert check_image(image) is image

    def test_rounding_is_cut(self) -> None:
        image = check_image(np.full((H, W, 3), 1 + 1e-7))
        assert image.max() == 1

    @pytest.mark.parametrize(
        ("array", "sentence"),
        [
            (np.zeros((3, H, W)), r"np.moveaxis\(image, 0, -1\)"),
            (np.zeros((H, W)), r"np.stack\(\[image\] \* 3, axis=-1\)"),
            (np.zeros((H, W, 3), dtype=np.uint8), "type uint8, expected floats in .*; divide it by 255 first"),
            (np.full((H, W, 3), 255.0), "divide by 255"),
            (np.full((H, W, 3), np.nan), "NaN or infinite"),
        ],
    )
    def test_bad_images(self, array: np.ndarray, sentence: str) -> None:
        with pytest.raises(ImageError, match=sentence):
            check_image(array)

    def test_image_size(self) -> None:
        with pytest.raises(ImageError, match="has 2 x 5 pixels, expected at least 3 x 3"):
            check_image(np.zeros((5, 2, 3)), minimum_side=3)
        with pytest.raises(ImageError, match=r"has \(h, w\) = \(5, 2\), expected \(2, 5\)"):
            check_image(np.zeros((5, 2, 3)), shape=(2, 5))

    def test_labels(self) -> None:
        labels = check_labels(np.array([[2, 0], [1, 1]], dtype=np.uint8))
        assert labels.dtype == np.int64

    @pytest.mark.parametrize(
        ("labels", "sentence"),
        [
            ([[0, 2]], "not every label from 0 to 2 occurs"),
            ([[0, 10**12]], "not every label from 0 to 1000000000000 occurs"),
            ([[-1, 0]], "the smallest label is -1"),
            ([0, 1], r"shape \(2,\) and type int64, expected \(h, w\) integers"),
            ([[0.0, 1.0]], r"type float64, expected \(h, w\) integers"),
            (np.zeros((0, 3), dtype=int), r"shape \(0, 3\)"),
        ],
    )
    def test_bad_labels(self, labels: object, sentence: str) -> None:
        with pytest.raises(InputError, match=sentence):
            check_labels(labels)

    def test_map(self) -> None:
        assert check_map(np.zeros((4, 5), dtype=np.float32), (4, 5), "features").shape == (4, 5, 1)
        assert check_map(np.zeros((4, 5, 7), dtype=np.float32), (4, 5), "features").dtype == np.float64

    @pytest.mark.parametrize(
        ("values", "sentence"),
        [
            (np.zeros((5, 4, 3)), r"the features have shape \(5, 4, 3\), but the image has \(h, w\) = \(4, 5\)"),
            (np.zeros(20), r"the features have shape \(20,\)"),
            (np.zeros((4, 5, 0)), r"the features have shape \(4, 5, 0\)"),
            (np.full((4, 5, 2), np.nan), "the features have 40 values that are NaN or infinite"),
            (np.zeros((4, 5), dtype=bool), "the features have type bool, expected real numbers"),
            (np.zeros((4, 5), dtype=object), "the features have type object"),
        ],
    )
    def test_bad_maps(self, values: np.ndarray, sentence: str) -> None:
        with pytest.raises(InputError, match=sentence):
            check_map(values, (4, 5), "features")


class TestWriteAtomically:
    def test_replaces(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text("old")
        write_atomically(path, lambda file: file.write(b"new"))
        assert path.read_text() == "new"
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (lambda: OSError(28, "No space left on device"), OutputError),
            (lambda: PermissionError(13, "Permission denied"), OutputError),
            (KeyboardInterrupt, KeyboardInterrupt),
            (ZeroDivisionError, ZeroDivisionError),
        ],
    )
    def test_a_failure_leaves_the_old_file(
        self, error: Callable[[], BaseException], expected: type[BaseException], tmp_path: Path
    ) -> None:
        path = tmp_path / "a.txt"
        path.write_text("old")

        def write(file: BinaryIO) -> None:
            file.write(b"half of it")
            raise error()

        with pytest.raises(expected):
            write_atomically(path, write)
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_full_disk(self, tmp_path: Path) -> None:
        def write(file: BinaryIO) -> None:
            raise OSError(28, "No space left on device")

        with pytest.raises(OutputError, match=r"a\.txt could not be written: the disk is full; free some space"):
            write_atomically(tmp_path / "a.txt", write)

    def test_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="its folder does not exist; create the folder first"):
            write_atomically(tmp_path / "missing" / "a.txt", lambda file: file.write(b""))

    def test_file_in_place_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="a file is in the place of a folder"):
            write_atomically(tmp_path / "file" / "a.txt", lambda file: file.write(b""))

    def test_folder_in_place_of_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="exists and is not a file: nothing was written"):
            write_atomically(tmp_path, lambda file: file.write(b""))
