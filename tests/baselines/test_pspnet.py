"""PSPNet: the library's own result, enlarged; folders, files, names; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from softseg.baselines.pspnet import largest, load_pspnet
from softseg.errors import ModelError

from .tiny_networks import save_pspnet

CPU = torch.device("cpu")
MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
DEVIATION = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pspnet(tmp_path_factory.mktemp("pspnet"))


def photo(h: int = 64, w: int = 96) -> torch.Tensor:
    """Bands of colours with noise."""
    noise = torch.rand((h, w, 3), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    noise[:, : w // 2] *= 0.2
    return noise


def test_as_the_library_labels_it(folder: Path) -> None:
    import segmentation_models_pytorch as library

    image = photo()
    found = load_pspnet(folder, CPU, shorter=64)(image)
    theirs = library.PSPNet("resnet18", encoder_weights=None, classes=5, psp_out_channels=64).eval()
    theirs.load_state_dict(load_file(folder / "model.safetensors"))
    with torch.no_grad():
        expected = theirs(((image.permute(2, 0, 1).float() - MEAN) / DEVIATION)[None])[0].argmax(0)
    np.testing.assert_array_equal(found.labels, expected.numpy())
    assert len(found.shares()) > 1  # weights that make one class of all would prove nothing
    assert found.names == tuple(f"class {k}" for k in range(5))
    assert found.nothing is None


def test_any_size_is_brought_to_the_photo(folder: Path) -> None:
    for shape in ((50, 71), (300, 20)):
        assert load_pspnet(folder, CPU, shorter=64)(photo(*shape)).labels.shape == shape


def test_a_file_alone_says_which_network_it_is(folder: Path, tmp_path: Path) -> None:
    state = load_file(folder / "model.safetensors")
    torch.save({"state_dict": state}, tmp_path / "weights.pth")
    alone = load_pspnet(tmp_path / "weights.pth", CPU, shorter=64)(photo())
    np.testing.assert_array_equal(alone.labels, load_pspnet(folder, CPU, shorter=64)(photo()).labels)


def test_names_in_the_settings(tmp_path: Path) -> None:
    names = {str(k): f"name {k}" for k in range(3)}
    save_pspnet(tmp_path, classes=3, id2label=names)
    assert load_pspnet(tmp_path, CPU, shorter=32)(photo()).names == ("name 0", "name 1", "name 2")


def test_names_of_known_data_sets(tmp_path: Path) -> None:
    ade = load_pspnet(save_pspnet(tmp_path / "ade", classes=150), CPU, shorter=32)(photo())
    assert (ade.names[2], ade.nothing) == ("sky", None)
    voc = load_pspnet(save_pspnet(tmp_path / "voc", classes=21), CPU, shorter=32)(photo())
    assert (voc.names[0], voc.nothing) == ("background", 0)


def test_the_largest_value_a_few_classes_at_a_time() -> None:
    values = torch.randn((21, 5, 7), generator=torch.Generator().manual_seed(0))
    whole = functional.interpolate(values[None], (30, 40), mode="bilinear", align_corners=False)[0]
    assert torch.equal(largest(values, (30, 40)), whole.argmax(0))
    assert largest(torch.zeros(20, 2, 2), (4, 4)).eq(0).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"_model_class": "Unet"}, "describes a Unet, not a PSPNet"),
        ({"classes": 4}, "says 4 classes, but the weights have 5"),
        ({"encoder_name": "nonsense"}, "cannot be built: .*nonsense"),
        ({"encoder_name": "resnet34"}, "encoder resnet34: encoder.* missing"),
        ({"psp_out_channels": 32}, r"has shape \(64, .*instead of \(32, "),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, object], words: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    described = json.loads((folder / "config.json").read_text()) | settings
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(ModelError, match=words):
        load_pspnet(tmp_path, CPU)


def test_weights_of_something_else(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(
        ModelError, match=r"does not hold the weights of PSPNet.*segmentation_head\.0\.weight is missing"
    ):
        load_pspnet(path, CPU)
    state = load_file(folder / "model.safetensors")
    save_file({key: value for key, value in state.items() if "layer2" not in key}, path)
    with pytest.raises(ModelError, match=r"encoder is a ResNet, and there is no config\.json beside it"):
        load_pspnet(path, CPU)
