"""The boundary network: photos of any size, weights that are what they should be, and better than colours."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.ndimage import gaussian_filter

from softseg.errors import ImageError, ModelError
from softseg.evaluation.synthetic import suite
from softseg.features import boundary_map
from softseg.features.boundaries import BoundaryNetwork, weights
from softseg.features.boundaries.network import GRID, LONGEST_SIDE
from softseg.features.store import sha256_of
from softseg.training.boundaries import boundary_auc
from softseg.training.datasets import Bsds

BSDS = Path(os.environ.get("SOFTSEG_DATA", "../shared/data")) / "bsds500" / "val"


def random_photo(*size: int) -> np.ndarray:
    return np.random.default_rng(0).random((*size, 3))


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (3, 500), (97, 65), (480, 640), (1300, 700)])
def test_photos_of_any_size(size: tuple[int, int]) -> None:
    shares = boundary_map(random_photo(*size))
    assert shares.dtype == np.float32 and shares.ndim == 2
    assert max(shares.shape) <= (LONGEST_SIDE - 1) // GRID + 1  # bounded, however large the photo is
    assert shares.min() >= 0 and shares.max() <= 1


def test_a_gray_photo_and_one_color() -> None:
    gray = np.repeat(random_photo(64, 64).mean(axis=2, keepdims=True), 3, axis=2)
    assert np.isfinite(boundary_map(gray)).all()
    assert boundary_map(np.full((96, 96, 3), 0.4)).max() < 0.5


def test_the_same_bytes_from_any_layout_and_precision() -> None:
    image = np.float32(random_photo(70, 90))
    first = boundary_map(image)
    assert np.array_equal(first, boundary_map(image))
    assert np.array_equal(first, boundary_map(np.asfortranarray(image).astype(np.float64)))


def test_a_mirrored_photo_has_a_mirrored_map() -> None:
    """The padding is the same at both ends: nothing is shifted on the way down and up again."""
    torch.manual_seed(0)
    network = BoundaryNetwork().eval().requires_grad_(False)
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = (parameter + parameter.flip(-1)) / 2
    image = torch.rand(1, 3, 65, 97)
    there, back = network(image), network(image.flip(-1)).flip(-1)
    assert there.shape == (1, 17, 25)
    torch.testing.assert_close(there, back, rtol=1e-3, atol=1e-4)


def test_base_and_head_are_all_there_is() -> None:
    network = BoundaryNetwork()
    parts = [*network.base_parameters(), *network.head_parameters()]
    assert len(parts) == len({id(p) for p in parts}) == len(list(network.parameters()))


def test_the_shipped_weights_are_small_half_precision_and_intact() -> None:
    path = weights.weights_path()
    assert sha256_of(path) == weights.DIGEST
    assert path.stat().st_size <= 3 * 2**20
    assert {value.dtype for value in load_file(path).values()} == {torch.float16}
    assert weights.load_network(path, weights.DIGEST).last.weight.dtype == torch.float32


def test_one_wrong_byte_in_the_shipped_weights_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(weights.weights_path().read_bytes())
    content[-1] ^= 1
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    monkeypatch.setattr(weights, "weights_path", lambda: path)
    with pytest.raises(ModelError, match="are damaged: SHA-256"):
        boundary_map(random_photo(16, 16))


@pytest.mark.parametrize("broken", [np.full((16, 16, 3), np.nan), np.full((16, 16, 3), 200.0), np.zeros((3, 16, 16))])
def test_what_is_no_photo_is_refused(broken: np.ndarray) -> None:
    with pytest.raises(ImageError):
        boundary_map(broken)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file({"stem.weight": torch.zeros(3, 3)}, tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match="does not fit the boundary network"):
        boundary_map(random_photo(16, 16), path=tmp_path / "weights.safetensors")


@pytest.mark.parametrize("content", [None, b"", b"not safetensors", b"\xff" * 64])
def test_missing_and_damaged_weights_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="cannot read the network weights"):
        boundary_map(random_photo(16, 16), path=path)


def color_gradient(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Length of the colour gradient, smoothed by 2 pixels (best of 1, 2 and 4), at the cells of the map."""
    sides = [np.linspace(0, n - 1, m).round().astype(int) for n, m in zip(image.shape, shape, strict=False)]
    smooth = gaussian_filter(image, (2, 2, 0))
    return np.sqrt(sum((part**2).sum(axis=2) for part in np.gradient(smooth, axis=(0, 1))))[np.ix_(*sides)]


def test_agrees_better_than_colors_with_the_layers_of_the_synthetic_suite() -> None:
    ours, colors = [], []
    for picture in suite():
        labels = picture.alphas.argmax(axis=0)
        shares = boundary_map(picture.image)
        ours.append(boundary_auc(shares, labels))
        colors.append(boundary_auc(color_gradient(picture.image, shares.shape), labels))
    assert np.mean(ours) > np.mean(colors)


@pytest.mark.data
@pytest.mark.skipif(not BSDS.is_dir(), reason=f"BSDS 500 is not there: {BSDS}")
def test_agrees_better_than_colors_with_people() -> None:
    photos = Bsds(BSDS)
    ours, colors = [], []
    for i in range(0, len(photos.names), 20):
        image = photos.load(i).image / 255
        shares = boundary_map(image)
        gradient = color_gradient(image, shares.shape)
        for labels in photos.annotations(i):
            ours.append(boundary_auc(shares, labels.astype(np.int32)))
            colors.append(boundary_auc(gradient, labels.astype(np.int32)))
    assert np.mean(ours) > np.mean(colors) + 0.08
