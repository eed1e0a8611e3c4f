"""Backbones of transformers and timm through the real loading code: tiny models with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from softseg.errors import InputError, ModelError
from softseg.features import extract, hub
from softseg.features.backbones import Backbone, load_backbone
from softseg.features.hub import HubSettings, load_extractor, parse_settings

from .tiny_models import save_tiny, save_tiny_timm

CPU = torch.device("cpu")
IMAGE = np.random.default_rng(0).random((45, 70, 3))
SMALL = HubSettings(longest_side=112)


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("dinov2", tmp_path_factory.mktemp("models") / "dinov2")


def features(folder: Path, settings: HubSettings = SMALL) -> torch.Tensor:
    return load_extractor(folder, CPU, settings)(torch.from_numpy(IMAGE))


@pytest.mark.parametrize(
    ("kind", "channels"),
    [
        ("dinov2", 32),
        ("dinov2-with-registers", 32),
        ("vit", 32),
        ("vit-classifier", 32),
        ("swin", 96),
        ("convnext", 56),
        ("resnet", 56),
    ],
)
def test_every_kind_of_backbone(kind: str, channels: int, tmp_path: Path) -> None:
    planes = features(save_tiny(kind, tmp_path / "model"))
    assert planes.shape == (channels, 45, 70)
    assert planes.dtype == torch.float32
    torch.testing.assert_close(planes.mean((1, 2)), torch.zeros(channels), atol=1e-5, rtol=0)
    assert planes.square().mean((1, 2)).max().item() == pytest.approx(1, abs=1e-4)
    again = features(tmp_path / "model")
    assert again.numpy().tobytes() == planes.numpy().tobytes()


@pytest.mark.parametrize(
    "architecture", ["vit_tiny_patch16_224", "resnet18", "convnext_atto", "swin_tiny_patch4_window7_224"]
)
def test_every_kind_of_backbone_of_timm(architecture: str, tmp_path: Path) -> None:
    extractor = load_extractor(save_tiny_timm(architecture, tmp_path / "model"), CPU, SMALL)
    planes = extractor(torch.from_numpy(IMAGE))
    assert planes.shape[1:] == (45, 70)
    assert torch.isfinite(planes).all()
    assert planes.square().mean((1, 2)).max().item() == pytest.approx(1, abs=1e-4)
    assert extractor(torch.from_numpy(IMAGE[:30, :60].copy())).shape[1:] == (30, 60)
    again = extractor(torch.from_numpy(IMAGE))  # what was seen before must not matter
    assert again.numpy().tobytes() == planes.numpy().tobytes()


def test_timm_gets_the_weights_and_the_normalisation_of_the_folder(tmp_path: Path) -> None:
    folder = save_tiny_timm("resnet18", tmp_path / "model")
    backbone = load_backbone(folder, CPU)
    assert (backbone.mean, backbone.deviation, backbone.step) == ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3), 32)
    import timm

    torch.manual_seed(0)
    original = timm.create_model("resnet18", num_classes=5).eval()
    pixels = torch.rand(1, 3, 65, 97)
    with torch.inference_mode():
        torch.testing.assert_close(backbone.maps(pixels)[-1], original.forward_features(pixels)[0])


@pytest.mark.parametrize("kind", ["dinov2", "dinov2-with-registers", "vit"])
def test_the_vectors_are_those_of_the_patches(kind: str, tmp_path: Path) -> None:
    """In reading order, without the tokens before them, of a photo that is normalised as the folder says."""
    import transformers

    folder = save_tiny(kind, tmp_path / "model")
    backbone = load_backbone(folder, CPU)
    assert (backbone.mean, backbone.deviation) == ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    assert not backbone.corners
    pixels = torch.rand(1, 3, 3 * backbone.step, 4 * backbone.step)
    network = transformers.AutoModel.from_pretrained(folder).eval()
    options = {"interpolate_pos_encoding": True} if kind == "vit" else {}
    with torch.inference_mode():
        tokens = network(pixel_values=pixels, **options).last_hidden_state[0]
        (cells,) = backbone.maps(pixels)
    prefixes = 5 if "registers" in kind else 1
    torch.testing.assert_close(cells[:, 2, 3], tokens[prefixes + 2 * 4 + 3])
    assert tokens.shape[0] == prefixes + 12


def test_the_photo_is_seen_at_multiples_of_the_patch(dinov2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    backbone = load_backbone(dinov2, CPU)

    def maps(pixels: torch.Tensor) -> list[torch.Tensor]:
        seen.append(tuple(pixels.shape[-2:]))
        return backbone.maps(pixels)

    watched = Backbone(maps, backbone.step, backbone.corners, backbone.mean, backbone.deviation)
    monkeypatch.setattr(hub, "load_backbone", lambda folder, device: watched)
    for side in (112, 200, 10_000):
        features(dinov2, HubSettings(longest_side=side))
    features(dinov2, HubSettings(longest_side=112, shifted=True))
    assert seen == [(70, 112), (126, 196), (182, 280), (70, 112), (84, 126)]  # at most four times as large


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (5, 90)])
def test_any_size(size: tuple[int, int], dinov2: Path) -> None:
    values = extract(np.random.default_rng(0).random((*size, 3)), model=f"{dinov2}@112", device="cpu")
    assert values.shape == (*size, 32)
    assert np.isfinite(values).all()


def test_a_constant_photo_has_finite_features(dinov2: Path) -> None:
    assert np.isfinite(extract(np.full((20, 30, 3), 0.5), model=f"{dinov2}@112", device="cpu")).all()


def test_fewer_dimensions_are_the_first_of_more(dinov2: Path) -> None:
    torch.testing.assert_close(features(dinov2, HubSettings(112, dimensions=4)), features(dinov2)[:4])


def _colors(step: int, corners: bool) -> Backbone:
    """A "network" whose vectors are the colours of the photo where its cells lie."""

    def maps(pixels: torch.Tensor) -> list[torch.Tensor]:
        if corners:
            return [pixels[0, :, :: step // 2, :: step // 2], pixels[0, :, ::step, ::step]]
        return [functional.avg_pool2d(pixels, step)[0]]

    return Backbone(maps, step, corners, (0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("shifted", [False, True])
def test_vectors_come_back_to_where_they_were_computed(
    corners: bool, shifted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = _colors(8, corners)
    monkeypatch.setattr(hub, "load_backbone", lambda folder, device: backbone)
    settings = HubSettings(longest_side=120, shifted=shifted)
    if shifted and corners:
        with pytest.raises(ModelError, match="leave out 'shifted'"):
            load_extractor(Path("model"), CPU, settings)
        return
    # Colours that guided upsampling cannot copy: their differences are far below the root of its regularisation.
    x = torch.linspace(0, 1, 90, dtype=torch.float64).expand(60, 90)
    y = torch.linspace(0, 1, 60, dtype=torch.float64)[:, None].expand(60, 90)
    image = 0.5 + 0.02 * torch.stack([x, 0.3 * y, 0 * x], dim=-1)
    planes = load_extractor(Path("model"), CPU, settings)(image)
    expected = ((x - x.mean()) / x.std(correction=0)).float()
    leading = planes[0] * (planes[0] * expected).mean().sign()
    inside = (slice(12, -12), slice(12, -12))  # at the border the windows of the filter are one-sided
    torch.testing.assert_close(leading[inside], expected[inside], atol=0.08, rtol=0)


def test_a_finer_map_is_taken_beside_the_coarsest(tmp_path: Path) -> None:
    backbone = load_backbone(save_tiny("resnet", tmp_path / "model"), CPU)
    assert backbone.corners
    with torch.inference_mode():
        shapes = [tuple(cells.shape) for cells in backbone.maps(torch.rand(1, 3, 65, 97))]
    assert shapes == [(24, 5, 7), (32, 3, 4)]


# What is refused


def test_weights_that_can_run_code_are_not_read(tmp_path: Path) -> None:
    folder = save_tiny("dinov2", tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no weights in the safetensors format.*save_pretrained"):
        load_backbone(folder, CPU)


def test_code_in_the_folder_is_never_run(tmp_path: Path) -> None:
    folder = save_tiny("dinov2", tmp_path / "model")
    settings = json.loads((folder / "config.json").read_text())
    settings |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'proof')!r}, 'w').close()\n")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_backbone(folder, CPU)
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "_attn_implementation_internal"])
def test_settings_cannot_name_code_of_the_hub(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library would fetch a kernel OWNER/NAME, and run it."""
    folder = save_tiny("dinov2", tmp_path / "model")
    expected = features(folder)

    def fetched(*arguments: object, **options: object) -> None:
        raise AssertionError("a kernel was asked for")

    monkeypatch.setattr("transformers.modeling_utils.lazy_import_flash_attention", fetched)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {key: "evil/kernel"}))
    torch.testing.assert_close(features(folder), expected)


def test_settings_of_a_part_cannot_name_code_of_the_hub(tmp_path: Path) -> None:
    import transformers

    from softseg.features.backbones import without_foreign_kernels

    parts = {"text_config": {"_attn_implementation": "evil/kernel"}, "vision_config": {"attn_implementation": "a/b"}}
    config = transformers.CLIPConfig(**parts, _attn_implementation={"vision_config": "evil/kernel"})
    clean = without_foreign_kernels(config)
    assert [c._attn_implementation for c in (clean, clean.text_config, clean.vision_config)] == [None] * 3


def test_missing_and_misfitting_weights(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_tiny("dinov2", tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if "layer" in name and "query.weight" in name)
    complete = dict(tensors)
    del tensors[name]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"weight are missing; save or fetch the model again"):
        load_backbone(folder, CPU)
    save_file(complete | {name: torch.zeros(3, 3)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_backbone(folder, CPU)
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_backbone(folder, CPU)


@pytest.mark.parametrize("text", ["{", "[1, 2]", "{}", '{"model_type": "no such model"}'])
def test_broken_settings(text: str, tmp_path: Path) -> None:
    folder = save_tiny("dinov2", tmp_path / "model")
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json|cannot be loaded"):
        load_backbone(folder, CPU)


def test_a_broken_normalisation(tmp_path: Path) -> None:
    folder = save_tiny("dinov2", tmp_path / "model")
    (folder / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5]}')
    with pytest.raises(ModelError, match="expected three numbers"):
        load_backbone(folder, CPU)
    (folder / "preprocessor_config.json").write_text('{"do_normalize": false}')
    assert load_backbone(folder, CPU).deviation == (1, 1, 1)
    (folder / "preprocessor_config.json").unlink()
    assert load_backbone(folder, CPU).mean == (0.485, 0.456, 0.406)


def test_models_of_other_things_than_patches_of_images(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not take images"):
        load_backbone(save_tiny("bert", tmp_path / "bert"), CPU)
    with pytest.raises(ModelError, match=r"vectors for 4 x 7 patches; choose a model"):
        features(save_tiny("mae", tmp_path / "mae"))  # leaves out most patches
    with pytest.raises(ModelError, match="only square ones"):
        load_backbone(save_tiny("vit", tmp_path / "vit", patch_size=(16, 8)), CPU)


def test_a_failure_of_the_network_names_the_model(dinov2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load_backbone(dinov2, CPU)
    with pytest.raises(ModelError, match=f"the model in {dinov2} fails on a photo of 14 x 14 pixels"):
        backbone.maps(torch.zeros(1, 4, 14, 14))


def test_timm_with_another_architecture_than_the_weights(tmp_path: Path) -> None:
    folder = save_tiny_timm("resnet18", tmp_path / "model")
    settings = json.loads((folder / "config.json").read_text())
    for architecture, words in (("resnet34", "cannot be loaded"), ("hf-hub:a/b", "does not know the architecture")):
        (folder / "config.json").write_text(json.dumps(settings | {"architecture": architecture}))
        with pytest.raises(ModelError, match=words):
            load_backbone(folder, CPU)


@pytest.mark.parametrize("text", ["", "12", "9000", "big", "896,", "-5", "shifted,shift"])
def test_unknown_options(text: str) -> None:
    with pytest.raises(InputError, match="after the @"):
        parse_settings(text)
