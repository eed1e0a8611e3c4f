"""torchvision's ResNet-101 as a start: converted so that it computes the same where it can."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from softseg.errors import ModelError
from softseg.features.base_weights import DIFFERENCES, load_base_weights, torchvision_names
from softseg.features.seed_network import MEAN_BGR, SeedNetwork, SeedSizes

SMALL = SeedSizes(blocks=(2, 2, 2, 1), width=4, taps=(2, 2, 3, 2, 4), rank=3, hidden=4, dimensions=5)


def make_network() -> SeedNetwork:
    torch.manual_seed(0)
    return SeedNetwork(SMALL, batch_statistics=False).eval()


def weights(prefix: str = "") -> dict[str, torch.Tensor]:
    """A state dictionary as torchvision would write it for a network of this size."""
    torch.manual_seed(1)
    network = make_network()
    state = {}
    for key, name in torchvision_names(network).items():
        low = 0.5 if name.endswith("running_var") else -0.5
        state[prefix + name] = torch.empty_like(network.state_dict()[key]).uniform_(low, 1)
        if name.endswith("running_mean"):
            state[prefix + name.replace("running_mean", "num_batches_tracked")] = torch.tensor(7)
    state[prefix + "fc.weight"] = torch.rand(10, 4)
    return state


def save(state: object, path: Path) -> Path:
    torch.save(state, path)
    return path


def unit(x: torch.Tensor, state: dict[str, torch.Tensor], convolution: str, norm: str, **options: int) -> torch.Tensor:
    """A convolution of torchvision's and its normalisation, in float64."""
    x = functional.conv2d(x, state[f"{convolution}.weight"].double(), **options)
    parts = (state[f"{norm}.{part}"].double() for part in ("running_mean", "running_var", "weight", "bias"))
    return functional.batch_norm(x, *parts, False, 0.0, 1e-5)


def test_the_first_layers_compute_what_torchvision_computes(tmp_path: Path) -> None:
    """Away from the border, on odd sides, where both pad equally."""
    state = weights()
    network = make_network()
    load_base_weights(network, save(state, tmp_path / "resnet101.pth"))
    network.double()
    image = torch.rand(1, 3, 65, 49, dtype=torch.float64)
    mean, deviation = (
        torch.tensor(v, dtype=torch.float64)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    theirs = unit((image - mean) / deviation, state, "conv1", "bn1", stride=2, padding=3)
    ours = network.base.conv1(255 * image.flip(1) - torch.tensor(MEAN_BGR, dtype=torch.float64)[:, None, None])
    torch.testing.assert_close(ours[..., 2:-2, 2:-2], theirs[..., 2:-2, 2:-2], rtol=1e-6, atol=1e-6)

    x = functional.max_pool2d(theirs.relu(), 3, 2, 1)
    y = unit(x, state, "layer1.0.conv1", "layer1.0.bn1").relu()
    y = unit(y, state, "layer1.0.conv2", "layer1.0.bn2", padding=1).relu()
    y = unit(y, state, "layer1.0.conv3", "layer1.0.bn3") + unit(
        x, state, "layer1.0.downsample.0", "layer1.0.downsample.1"
    )
    torch.testing.assert_close(network.base.stages["2"]["2a"](x), y, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("prefix", ["", "backbone.", "module.backbone."])
@pytest.mark.parametrize("wrapping", [None, "model", "state_dict"])
def test_prefixes_and_wrappings(prefix: str, wrapping: str | None, tmp_path: Path) -> None:
    state = weights(prefix) | {"classifier.0.weight": torch.zeros(2)}
    network = make_network()
    head = {key: value.clone() for key, value in network.state_dict().items() if not key.startswith("base.")}
    path = save({wrapping: state, "epoch": 3} if wrapping else state, tmp_path / "weights.pth")
    notes = load_base_weights(network, path)
    assert notes[: len(DIFFERENCES)] == DIFFERENCES
    loaded = network.state_dict()
    assert torch.equal(loaded["base.stages.3.3b1.branch2b.convolution.weight"], state[f"{prefix}layer2.1.conv2.weight"])
    assert all(torch.equal(loaded[key], value) for key, value in head.items())


def test_safetensors(tmp_path: Path) -> None:
    state, network = weights() | {"surplus": torch.zeros(1)}, make_network()
    save_file(state, tmp_path / "weights.safetensors")
    notes = load_base_weights(network, tmp_path / "weights.safetensors")
    assert notes == (*DIFFERENCES, "surplus of the file was not used")
    assert torch.equal(network.base.stages["5"]["5a"].branch2c.norm.bias, state["layer4.0.bn3.bias"])


def test_every_entry_of_the_base_has_a_name() -> None:
    network = SeedNetwork()
    names = torchvision_names(network)
    assert set(names) == {key for key in network.state_dict() if key.startswith("base.")}
    assert len(set(names.values())) == len(names) == 104 * 5  # torchvision's convolutions and normalisations


def test_what_does_not_fit_is_named_and_the_network_stays(tmp_path: Path) -> None:
    state = weights()
    del state["layer3.1.conv2.weight"]
    state["bn1.bias"] = torch.zeros(3)
    state["layer4.0.bn1.weight"][0] = torch.nan
    network = make_network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(ModelError) as caught:
        load_base_weights(network, save(state, tmp_path / "weights.pth"))
    for part in (
        "missing layer3.1.conv2.weight",
        "bn1.bias has shape (3,) instead of (4,)",
        "layer4.0.bn1.weight does not hold finite floats",
    ):
        assert part in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("trap",)


def test_damaged_and_hostile_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path, network = tmp_path / "weights.pth", make_network()
    data = save(weights(), path).read_bytes()
    for content in (b"", b"not weights", data[: len(data) // 2]):
        for suffix in (".pth", ".safetensors"):
            path.with_suffix(suffix).write_bytes(content)
            with pytest.raises(ModelError, match="cannot be read as tensors"):
                load_base_weights(network, path.with_suffix(suffix))
    with pytest.raises(ModelError, match="cannot be read as tensors"):
        load_base_weights(network, save({"conv1.weight": Trap()}, path))
    assert not (tmp_path / "trap").exists()
    with pytest.raises(ModelError, match="holds a list, not a dictionary"):
        load_base_weights(network, save([1, 2], path))
    with pytest.raises(ModelError, match="it is not a ResNet"):
        load_base_weights(network, save({"conv1.weight": torch.zeros(1), "x": 3}, path))
    with pytest.raises(ModelError, match="there is no file"):
        load_base_weights(network, tmp_path / "missing.pth")
