"""The seed's network: its parts against plain formulas, and how it treats sizes, batches, training and precision.

That the whole is what TensorFlow computes is in test_checkpoints.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from softseg.errors import InputError
from softseg.features import seed_network
from softseg.features.resnet import Bottleneck, Normalization, SameConv2d, block_names
from softseg.features.seed_network import PADDING, SeedNetwork, SeedSizes, reflect, resize

SMALL = SeedSizes(blocks=(1, 2, 2, 2), width=4, taps=(2, 3, 4, 5, 6), rank=7, hidden=8, dimensions=9)


def make_network(batch_statistics: bool = True) -> SeedNetwork:
    torch.manual_seed(0)
    return SeedNetwork(SMALL, batch_statistics).eval().double()  # so that rounding does not hide anything


def photo(h: int = 30, w: int = 41, count: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, h, w, generator=torch.Generator().manual_seed(h * w), dtype=torch.float64)


@pytest.mark.parametrize("n", [1, 2, 3, 50, 51, 60])
def test_reflection_is_that_of_numpy(n: int) -> None:
    values = np.random.default_rng(n).random((2, n))
    expected = np.pad(values, ((0, 0), (PADDING, PADDING)), mode="reflect")
    np.testing.assert_array_equal(reflect(torch.from_numpy(values), 1), expected)


@pytest.mark.parametrize(("n", "size"), [(1, 5), (4, 9), (7, 50), (13, 100), (5, 5)])
def test_resizing_interpolates_at_multiples_of_the_ratio(n: int, size: int) -> None:
    values = np.random.default_rng(size).random((n, 3))
    found = resize(torch.from_numpy(values), 0, size, 1, size)
    positions = np.arange(1, size) * n / size
    expected = np.stack([np.interp(positions, np.arange(n), channel) for channel in values.T], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("n", [8, 9, 14, 15])
def test_strided_convolutions_are_padded_at_their_end_first(n: int) -> None:
    """TensorFlow's formula, spelled out: output i reads the inputs from 2 i minus half of the padding, rounded down."""
    torch.manual_seed(n)
    convolution, x = SameConv2d(1, 1, 7, stride=2), torch.rand(1, 1, n, n)
    kernel, outputs = convolution.weight[0, 0].detach(), -(-n // 2)
    begin = ((outputs - 1) * 2 + 7 - n) // 2
    padded = torch.zeros(n + 20, n + 20)
    padded[10 : n + 10, 10 : n + 10] = x[0, 0]
    expected = [
        [
            (kernel * padded[10 + 2 * i - begin : 17 + 2 * i - begin, 10 + 2 * j - begin : 17 + 2 * j - begin]).sum()
            for j in range(outputs)
        ]
        for i in range(outputs)
    ]
    torch.testing.assert_close(convolution(x)[0, 0].detach(), torch.tensor(expected))


def test_normalization_uses_the_biased_variance_of_each_image() -> None:
    torch.manual_seed(0)
    norm, x = Normalization(3), torch.rand(2, 3, 4, 5) * torch.tensor([1.0, 100.0])[:, None, None, None]
    torch.nn.init.uniform_(norm.weight)
    torch.nn.init.uniform_(norm.bias)
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
    expected = (x - mean) / (variance + 0.001).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(x), expected)
    torch.testing.assert_close(norm(x[:1]), expected[:1])


def test_running_statistics_follow_in_training_and_are_used_when_asked_for() -> None:
    torch.manual_seed(0)
    norm, x = Normalization(2).double(), torch.rand(3, 2, 8, 8, dtype=torch.float64) * 5 + 2
    norm.eval()(x)
    assert norm.running_mean.tolist() == [0, 0]
    norm.train()
    for _ in range(1500):
        norm(x)
    mean, variance = x.mean((0, 2, 3)), x.var((2, 3), correction=0).mean(0)
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(norm.running_var, variance, rtol=1e-6, atol=0)
    norm.batch_statistics = False
    expected = (x - mean[:, None, None]) / (variance[:, None, None] + 0.001).sqrt()
    torch.testing.assert_close(norm(x), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(norm.running_mean, mean, rtol=1e-6, atol=0)  # frozen, although in training


def test_strides_and_dilations_are_those_of_deeplab() -> None:
    network = SeedNetwork(SMALL)
    blocks = {name: module for _, stage in network.base.stages.items() for name, module in stage.named_children()}
    assert list(blocks) == [name for _, name in block_names(SMALL.blocks)]
    for name, block in blocks.items():
        assert isinstance(block, Bottleneck)
        stride = (2, 2) if name == "3a" else (1, 1)
        assert block.branch2a.convolution.stride == stride and block.branch2b.convolution.stride == (1, 1)
        assert (block.branch1 is not None) == name.endswith("a")
        assert block.branch1 is None or block.branch1.convolution.stride == stride
        assert block.branch2b.convolution.dilation[0] == {"2": 1, "3": 1, "4": 2, "5": 4}[name[0]]
    assert [count for _, count in [(s, sum(n[0] == s for _, n in block_names())) for s in "2345"]] == [3, 4, 23, 3]


def test_the_stage_outputs_are_after_their_relu_except_the_last() -> None:
    network = make_network()
    with torch.no_grad():
        pool1, stage3, stage4, stage5 = network.base(network.prepare(photo()))
    assert all((output >= 0).all() for output in (pool1, stage3, stage4))
    assert (stage5 < 0).any() and (stage5 > 0).any()


def test_the_input_is_blue_green_red_minus_the_mean() -> None:
    image = torch.zeros(1, 3, 4, 4)
    image[:, 0] = 1  # red
    padded = make_network().prepare(image)
    assert padded.shape == (1, 3, 104, 104)
    expected = torch.tensor([-104.00698793, -116.66876762, 255 - 122.67891434])
    torch.testing.assert_close(padded[0, :, 7, 90].float(), expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 70), (33, 32)])
@pytest.mark.parametrize("batch_statistics", [True, False])
def test_every_size_has_features(size: tuple[int, int], batch_statistics: bool) -> None:
    with torch.no_grad():
        features = make_network(batch_statistics)(photo(*size))
    assert features.shape == (1, 9, *size)
    assert features.isfinite().all()


@pytest.mark.parametrize("batch_statistics", [True, False])
def test_a_batch_gives_what_its_images_give(batch_statistics: bool) -> None:
    network, images = make_network(batch_statistics), photo(count=3) * torch.tensor([1, 0.5, 0.1])[:, None, None, None]
    with torch.no_grad():
        together, alone = network(images), torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-9, rtol=1e-9)


def test_strips_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it matter that the padding is cut off before the per-pixel layers."""
    network, image = make_network(), photo()
    whole = network(image)
    assert whole.requires_grad
    monkeypatch.setattr(seed_network, "_PIXELS_AT_ONCE", {"cpu": 100})
    with torch.no_grad():
        torch.testing.assert_close(network(image), whole.detach())
        padded = network.prepare(image)
        size = (padded.shape[2], padded.shape[3])
        taps = [tap.permute(0, 3, 1, 2) for tap in network.tap(padded)]
        # With one more row and column, repeated, aligned corners are TensorFlow's convention.
        longer = [functional.pad(tap, (0, 1, 0, 1), mode="replicate") for tap in taps]
        full = (size[0] + 1, size[1] + 1)
        columns = [functional.interpolate(tap, full, mode="bilinear", align_corners=True) for tap in longer]
        x = torch.cat(columns, 1)[:, :, :-1, :-1].permute(0, 2, 3, 1).relu()
        first = network.fc1(x).relu()
        second = network.fc2(first).relu()
        features = network.fc3(torch.cat([first, second], 3)).permute(0, 3, 1, 2)
    torch.testing.assert_close(features[:, :, 50:-50, 50:-50], whole.detach(), atol=1e-9, rtol=1e-9)


def test_training_reaches_every_parameter_and_drops_half() -> None:
    network = make_network().train()
    image = photo()
    first, second = network(image), network(image)
    assert (first - second).abs().max() > 0.01 * first.abs().max()
    first.square().mean().backward()
    untouched = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    # A bias before nothing but a normalisation would have no effect; there is none.
    assert untouched == []
    network.eval()
    torch.testing.assert_close(network(image), network(image), rtol=0, atol=0)


def test_the_parameters_are_split_in_two() -> None:
    network = SeedNetwork(SMALL)
    base, head = ({id(p) for p in part} for part in (network.base_parameters(), network.head_parameters()))
    assert not base & head
    assert base | head == {id(p) for p in network.parameters()}
    assert {id(p) for p in network.base.parameters()} == base


def test_the_head_starts_with_xavier() -> None:
    network = SeedNetwork(SMALL)
    for weight in (network.fc1.reduce.weight, network.fc2.expand.weight, network.fc3.weight, network.taps[4].weight):
        outputs, inputs = (n * weight[0, 0].numel() for n in weight.shape[:2])
        bound = (6 / (inputs + outputs)) ** 0.5
        assert 0.7 * bound < weight.abs().max() <= bound
    assert not network.fc3.bias.any()


def test_the_statistics_can_be_switched() -> None:
    network, image = make_network(), photo()
    with torch.no_grad():
        own = network(image)
        network.batch_statistics = False
        running = network(image)
        network.batch_statistics = True
        assert torch.equal(network(image), own)
    assert not torch.allclose(own, running)


@pytest.mark.parametrize(
    "image",
    [torch.rand(3, 8, 8), torch.rand(1, 8, 8, 3), torch.zeros(1, 3, 8, 8, dtype=torch.uint8), torch.rand(1, 3, 0, 8)],
)
def test_what_is_no_batch_of_photos_is_refused(image: torch.Tensor) -> None:
    with pytest.raises(InputError, match=r"expected floats \(b, 3, h, w\)"):
        make_network()(image)
