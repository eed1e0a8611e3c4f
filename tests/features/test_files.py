"""Reading feature maps: every format, every repair that is said aloud, every refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import tifffile
from PIL import Image

from softseg.errors import InputError
from softseg.features import load_features

SHAPE = (12, 16)


def _map(h: int = 12, w: int = 16, channels: int = 8) -> np.ndarray:
    return np.random.default_rng(h * w * channels).normal(size=(h, w, channels)).astype(np.float32)


def _saved(folder: Path, array: np.ndarray, name: str = "map.npy") -> Path:
    np.save(folder / name, array)
    return folder / name


def test_npy(tmp_path: Path) -> None:
    features, notes = load_features(str(_saved(tmp_path, _map())), SHAPE)
    np.testing.assert_array_equal(features, _map())
    assert features.dtype == np.float32
    assert notes == ()


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int16, np.uint8])
def test_every_real_type_is_taken(tmp_path: Path, dtype: type) -> None:
    array: np.ndarray = (_map() * 10).clip(0, 100).astype(dtype)
    np.testing.assert_array_equal(load_features(_saved(tmp_path, array), SHAPE)[0], array.astype(np.float32))


@pytest.mark.parametrize(
    "arrays",
    [
        {"anything": _map()},
        {"features": _map(), "other": _map(3, 3)},
        {"anything": _map(), "size": np.array([12, 16])},
    ],
)
def test_npz_and_mat_by_name_or_the_only_map(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "map.npz", allow_pickle=False, **arrays)
    scipy.io.savemat(tmp_path / "map.mat", arrays)
    for name in ("map.npz", "map.mat"):
        features, notes = load_features(tmp_path / name, SHAPE)
        np.testing.assert_array_equal(features, _map())
        assert notes == ()


@pytest.mark.parametrize("name", ["map.npz", "map.mat"])
def test_two_maps_without_the_name_are_refused(tmp_path: Path, name: str) -> None:
    if name.endswith("npz"):
        np.savez(tmp_path / name, a=_map(), b=_map())
    else:
        scipy.io.savemat(tmp_path / name, {"a": _map(), "b": _map()})
    with pytest.raises(InputError, match=r"a, b.*name it 'features'"):
        load_features(tmp_path / name, SHAPE)


def test_png_and_tiff_images_are_scaled_to_one(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "map.png")
    tifffile.imwrite(tmp_path / "map.tif", pixels.astype(np.uint16) * 257, photometric="rgb")
    for name in ("map.png", "map.tif"):
        features, notes = load_features(tmp_path / name, SHAPE)
        np.testing.assert_allclose(features, pixels / 255, atol=1e-7)
        assert notes == ()


def test_a_palette_and_an_alpha_channel(tmp_path: Path) -> None:
    pixels = np.zeros((12, 16, 3), dtype=np.uint8)
    pixels[:, 8:] = (255, 0, 51)
    Image.fromarray(pixels).quantize(4).save(tmp_path / "palette.png")
    Image.fromarray(pixels).convert("RGBA").save(tmp_path / "alpha.png")
    np.testing.assert_allclose(load_features(tmp_path / "palette.png", SHAPE)[0], pixels / 255, atol=1e-7)
    features, notes = load_features(tmp_path / "alpha.png", SHAPE)
    np.testing.assert_allclose(features, pixels / 255, atol=1e-7)
    assert notes == ("the alpha channel of the feature image was ignored",)


def test_another_size_is_resized_and_said(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 8)[None, :, None] * np.ones((6, 1, 5))
    features, notes = load_features(_saved(tmp_path, ramp), SHAPE)
    assert notes == ("the features were resized from 8 x 6 to 16 x 12 pixels",)
    assert features.shape == (12, 16, 5)
    np.testing.assert_allclose(features[:, 1:-1, 0], np.tile((np.arange(1, 15) - 0.5) / 14, (12, 1)), atol=1e-6)
    larger, _ = load_features(_saved(tmp_path, np.full((121, 160, 2), 3.0)), SHAPE)
    np.testing.assert_allclose(larger, 3.0, atol=1e-6)


def test_a_map_at_the_rounded_size_of_a_network_stride_is_taken(tmp_path: Path) -> None:
    assert load_features(_saved(tmp_path, _map(3, 5)), (100, 150))[0].shape == (100, 150, 8)


def test_three_channels_out_of_range_are_scaled_together_and_said(tmp_path: Path) -> None:
    array = _map(channels=3)
    features, notes = load_features(_saved(tmp_path, array), SHAPE)
    np.testing.assert_allclose(features, (array - array.min()) / np.ptp(array), atol=1e-6)
    assert features.min() == 0
    assert features.max() == 1
    assert len(notes) == 1
    assert notes[0].startswith("the three feature channels were scaled together from [")
    constant, _ = load_features(_saved(tmp_path, np.full((12, 16, 3), 7.0)), SHAPE)
    assert (constant == 0).all()


@pytest.mark.parametrize("shape", [(8, 12, 16), (3, 12, 16), (5, 6, 8)])
def test_channels_first_are_refused_with_advice(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match=r"channels first.*np\.moveaxis\(features, 0, -1\)"):
        load_features(_saved(tmp_path, np.zeros(shape)), SHAPE)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (_map(24, 24), "other proportions"),
        (_map(16, 12), "turned by 90 degrees"),
        (_map(120, 170), "other proportions"),
        (_map(channels=1), "one channel"),
        (np.zeros((12, 16, 0)), "shape"),
        (np.zeros((12, 16)), "shape"),
        (np.zeros((1, 12, 16, 8)), "shape"),
        (np.full((12, 16, 4), np.nan), "768 values that are NaN"),
        (np.full((12, 16, 4), 1e300), "above float32"),
        (np.full((12, 16, 4), 1j), "complex128"),
        (np.full((12, 16, 4), True), "bool"),
        (np.full((12, 16, 4), "x"), "real numbers"),
    ],
)
def test_what_is_not_a_map_of_vectors_is_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_features(_saved(tmp_path, array), SHAPE)


def test_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    objects = np.full((12, 16, 4), None)
    np.save(tmp_path / "map.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "map.npz", features=objects)
    for name in ("map.npy", "map.npz"):
        with pytest.raises(InputError, match="Python objects"):
            load_features(tmp_path / name, SHAPE)


def test_a_gray_image_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((12, 16), dtype=np.uint8)).save(tmp_path / "map.png")
    with pytest.raises(InputError, match="a vector for every pixel"):
        load_features(tmp_path / "map.png", SHAPE)


def test_matlab_7_3_is_refused_with_advice(tmp_path: Path) -> None:
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + b"\0" * 8 + b"\x00\x02IM"
    (tmp_path / "map.mat").write_bytes(header + b"\x89HDF\r\n\x1a\n" + b"\0" * 512)
    with pytest.raises(InputError, match=r"7\.3.*-v7"):
        load_features(tmp_path / "map.mat", SHAPE)


@pytest.mark.parametrize("name", ["map.npy", "map.npz", "map.mat", "map.png", "map.tif"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    for content in (b"", b"not what the name says" * 20):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=r"map\."):
            load_features(tmp_path / name, SHAPE)


def test_a_missing_or_unknown_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no feature file"):
        load_features(tmp_path / "map.npy", SHAPE)
    (tmp_path / "map.jpg").write_bytes(b"")
    with pytest.raises(InputError, match=r"write the map as \.npy"):
        load_features(tmp_path / "map.jpg", SHAPE)
