"""The embedded network: one function for training and for extraction, and weights that are what they should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from softseg.errors import ModelError
from softseg.features import extract
from softseg.features.embedded import EmbeddedNetwork, weights
from softseg.features.embedded.network import DIMENSIONS, FROZEN_STAGES, GRID
from softseg.features.hypercolumn import fit_to_stride, to_photo
from softseg.features.store import sha256_of

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def network() -> EmbeddedNetwork:
    torch.manual_seed(0)
    return EmbeddedNetwork().eval()


def photo(h: int, w: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, h, w, generator=torch.Generator().manual_seed(seed))


def test_the_vectors_of_training_are_those_of_the_grid(network: EmbeddedNetwork) -> None:
    h, w = 97, 65
    image = photo(h, w)
    coarse = network.forward_coarse(image)
    assert coarse.shape == (1, DIMENSIONS, (h - 1) // GRID + 1, (w - 1) // GRID + 1)
    y, x = torch.tensor([0, 8, 96, 52]), torch.tensor([0, 64, 4, 32])
    at_pixels = network.forward_at(image, y * w + x)
    torch.testing.assert_close(at_pixels, coarse[0, :, y // GRID, x // GRID].T, rtol=1e-4, atol=1e-5)


def test_forward_interpolates_the_grid(network: EmbeddedNetwork) -> None:
    image = photo(65, 97)
    full = network(image)
    assert full.shape == (1, DIMENSIONS, 65, 97)
    torch.testing.assert_close(full[..., ::GRID, ::GRID], network.forward_coarse(image), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (50, 33), (20, 300)])
def test_photos_of_any_size(network: EmbeddedNetwork, size: tuple[int, int]) -> None:
    features = network.extract(photo(*size)[0].permute(1, 2, 0))
    assert features.shape == (DIMENSIONS, *size)
    assert bool(torch.isfinite(features).all())


@pytest.mark.parametrize("size", [(900, 1300), (200, 1500), (90, 130), (641, 641)])
def test_vectors_come_back_to_where_they_were_computed(size: tuple[int, int]) -> None:
    """A photo of its own coordinates, as the network sees it, has its coordinates again, to a tenth of a pixel."""
    h, w = size
    y, x = torch.meshgrid(torch.arange(h) / h, torch.arange(w) / w, indexing="ij")
    seen = fit_to_stride(torch.stack([y, x, y * 0], 2), 32, 640)
    back = to_photo(seen[..., ::GRID, ::GRID], (seen.shape[2], seen.shape[3]), size)[0]
    margin = 2 * GRID * max(h, w) // 640 + 2  # there the reduction averages fewer pixels
    inner = (slice(margin, h - margin), slice(margin, w - margin))
    torch.testing.assert_close(back[0][inner] * h, y[inner] * h, rtol=0, atol=0.1)
    torch.testing.assert_close(back[1][inner] * w, x[inner] * w, rtol=0, atol=0.1)


def test_a_mirrored_photo_has_mirrored_features(network: EmbeddedNetwork) -> None:
    """The padding is the same at both ends: nothing is shifted by half a pixel on the way through the network."""
    kernels = EmbeddedNetwork()
    kernels.load_state_dict(network.state_dict())
    for name, parameter in kernels.named_parameters():
        if parameter.ndim == 4:
            parameter.data = (parameter + parameter.flip(-1)) / 2
            assert torch.equal(parameter.data, parameter.data.flip(-1)), name
    kernels.eval().requires_grad_(False)
    image = photo(65, 97)
    torch.testing.assert_close(
        kernels.forward_coarse(image.flip(-1)), kernels.forward_coarse(image).flip(-1), rtol=1e-3, atol=1e-4
    )


def test_the_first_stages_are_not_trained(network: EmbeddedNetwork) -> None:
    trained = {id(p) for p in [*network.base_parameters(), *network.head_parameters()]}
    rest = {name for name, p in network.named_parameters() if id(p) not in trained}
    assert rest and all(
        name.startswith(("trunk.stem.", *(f"trunk.stages.{i}." for i in range(FROZEN_STAGES)))) for name in rest
    )


def test_the_shipped_weights_are_small_half_precision_and_intact() -> None:
    path = weights.weights_path()
    assert path is not None
    assert weights.DIGEST
    assert sha256_of(path) == weights.DIGEST
    assert path.stat().st_size <= 12 * MEGABYTE
    state = load_file(path)
    assert {value.dtype for value in state.values()} == {torch.float16}
    assert weights.load_network(path).first.weight.dtype == torch.float32


def test_trained_features_tell_two_textures_apart() -> None:
    """Not more than a check that trained weights, not random ones, are used: two plain halves."""
    image = np.zeros((96, 128, 3))
    image[:, :64] = (0.2, 0.5, 0.1)
    image[:, 64:] = (0.4, 0.6, 0.9)
    image += np.random.default_rng(0).normal(0, 0.03, image.shape)
    features = extract(image.clip(0, 1), device="cpu")
    left, right = features[20:76, 10:50].reshape(-1, DIMENSIONS), features[20:76, 78:118].reshape(-1, DIMENSIONS)
    between = np.linalg.norm(left.mean(0) - right.mean(0))
    within = max(np.linalg.norm(part - part.mean(0), axis=1).mean() for part in (left, right))
    assert between > 2 * within


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"first.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(ModelError, match="does not fit the embedded network"):
        weights.load_network(path)


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\xff" * 64])
def test_damaged_weights_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="cannot read the network weights"):
        weights.load_network(path)


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    whole = weights.weights_path()
    assert whole is not None
    path = tmp_path / "weights.safetensors"
    path.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cannot read the network weights"):
        weights.load_network(path)
