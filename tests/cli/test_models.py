"""`softseg models`: the list, fetching from a server on this machine, checking; and features of a fetched model."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from softseg.features import registry
from softseg.features.embedded import EmbeddedNetwork
from tests.features.serving import Server, serving, stand_in_for_the_hub
from tests.features.tiny_models import save_tiny

from .conftest import make_photo

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SOFTSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving() as server:
        stand_in_for_the_hub(server, monkeypatch)
        yield server


def tiny_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in save_tiny("dinov2", folder).iterdir()}


def test_the_list(softseg: Run) -> None:
    run = softseg("models")
    assert (run.exit_code, run.exception) == (0, None)
    assert run.stdout == softseg("models", "list").stdout
    lines = run.stdout.splitlines()
    (line,) = (i for i, text in enumerate(lines) if text.startswith("dinov2-small "))
    assert lines[line].split()[1:4] == ["88", "MB", "Apache-2.0"]
    assert lines[line + 1].strip() == "run: softseg models fetch dinov2-small"
    assert all(any(text.startswith(name) for text in lines) for name in ("embedded", "imagenet-taps", "seed"))


def test_fetch_verify_and_segment(softseg: Run, server: Server, home: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    server.add_model("facebook/dinov2-small", tiny_files(tmp_path / "tiny"))
    run = softseg("models", "fetch", "dinov2-small")
    folder = home / "models" / "dinov2-small"
    assert (run.exit_code, run.stderr) == (0, "")
    assert run.stdout == f"dinov2-small fetched: {folder}, 1 MB\nterms: Apache-2.0\n"
    asked = len(server.requests)
    assert "is there already" in softseg("models", "fetch", "dinov2-small").stdout
    assert len(server.requests) == asked
    assert "dinov2-small: as it should be\n" in softseg("models", "verify").stdout

    photos = [make_photo(tmp_path / f"{name}.png") for name in "ab"]
    options = ["--features", "dinov2-small@112", "--layers", 2, "--device", "cpu", "--quiet"]
    run = softseg("segment", *photos, "-o", tmp_path / "out", *options)
    assert run.exit_code == 0, run.stderr
    report = json.loads((tmp_path / "out" / "b" / "report.json").read_text())
    assert report["model"] == {"name": "dinov2-small@112", "digest": registry.model_digest("dinov2-small")}

    (folder / "model.safetensors").write_bytes(b"damaged")
    run = softseg("models", "verify")
    assert run.exit_code == 1
    assert f"the weights in {folder} are damaged: {folder / 'model.safetensors'} has 7 bytes instead of" in run.stderr
    assert "softseg models fetch dinov2-small --force" in run.stderr
    assert softseg("models", "fetch", "dinov2-small", "--force", "--quiet").output == ""
    assert softseg("models", "verify", "dinov2-small").exit_code == 0


def test_a_model_of_the_hub_by_its_name(softseg: Run, server: Server, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    server.add_model("some/one", tiny_files(tmp_path / "tiny"), licence="mit")
    run = softseg("models", "fetch", "hub:some/one")
    assert run.exit_code == 0, run.stderr
    assert run.stdout.endswith("terms: mit\n")
    (line,) = (text for text in softseg("models").stdout.splitlines() if text.startswith("hub:some/one "))
    assert line.split()[1:4] == ["1", "MB", "mit"]


def test_segment_with_a_folder(softseg: Run, tmp_path: Path) -> None:
    folder = save_tiny("vit", tmp_path / "tiny.model")
    photos = [make_photo(tmp_path / f"{name}.png") for name in "ab"]
    run = softseg("segment", *photos, "-o", tmp_path / "out", "--features", folder, "--layers", 2, "--device", "cpu")
    assert run.exit_code == 0, run.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b"]
    run = softseg("features", photos[0], "-o", tmp_path / "f.npy", "--model", f"hub:{folder}@64", "--device", "cpu")
    assert "features of shape (20, 40, 32)" in run.stdout


def test_segment_and_features_with_trained_weights(softseg: Run, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    save_file(EmbeddedNetwork().state_dict(), path, {"recipe": '{"network": "embedded"}'})
    photos = [make_photo(tmp_path / f"{name}.png") for name in "ab"]
    run = softseg("segment", *photos, "-o", tmp_path / "out", "--features", path, "--layers", 2, "--device", "cpu")
    assert run.exit_code == 0, run.stderr
    report = json.loads((tmp_path / "out" / "b" / "report.json").read_text())
    assert report["model"] == {"name": str(path), "digest": hashlib.sha256(path.read_bytes()).hexdigest()}
    run = softseg("features", photos[0], "-o", tmp_path / "f.npy", "--model", path, "--device", "cpu")
    assert "features of shape (20, 40, 64)" in run.stdout
    save_file({"weight": torch.zeros(2)}, path)
    run = softseg("features", photos[0], "-o", tmp_path / "g.npy", "--model", path, "--device", "cpu")
    assert run.exit_code == 1
    assert "has the format None, expected 'softseg-embedded' or 'softseg-seed-resnet101'" in run.stderr


def test_refusals(softseg: Run, server: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    server.refused["/api/models/some/gated/revision/main"] = 403
    server.refusal_headers["X-Error-Code"] = "GatedRepo"
    for arguments, words in (
        (("fetch", "hub:some/gated"), "Accept its terms on its page"),
        (("fetch", "seed"), "cannot be fetched; run: softseg models import"),
        (("fetch", "vgg"), "there is no feature model 'vgg'"),
        (("verify", "vgg"), "there is no feature model 'vgg'"),
        (("verify", "dinov2-large"), "are not installed; run: softseg models fetch dinov2-large"),
    ):
        run = softseg("models", *arguments)
        assert run.exit_code == 1
        assert words in run.stderr
        assert run.stderr.count("\n") == 1
    monkeypatch.setenv("SOFTSEG_OFFLINE", "1")
    run = softseg("models", "fetch", "dinov2-small")
    assert run.exit_code == 1
    assert "connected machine run: softseg models fetch dinov2-small, and copy the folder" in run.stderr
    assert not (home / "models" / "dinov2-small").exists()


def test_a_folder_of_ones_own_has_no_known_checksum(softseg: Run, tmp_path: Path) -> None:
    folder = save_tiny("dinov2", tmp_path / "tiny")
    assert softseg("models", "verify", folder).stdout == f"{folder}: there, but no checksum is known for it\n"


def test_a_damaged_list_does_not_hide_the_other_models(softseg: Run, home: Path, tmp_path: Path) -> None:
    folder = home / "models" / "hub" / "some--one"
    shutil.copytree(save_tiny("dinov2", tmp_path / "tiny"), folder)
    (folder / "softseg.json").write_text("{")
    assert "hub:some/one" in softseg("models").stdout
    run = softseg("models", "verify")
    assert run.exit_code == 1
    assert "softseg.json is damaged" in run.stderr
    assert "embedded" in run.stdout


@pytest.mark.parametrize("verb", ["list", "fetch", "verify", "import"])
def test_every_verb_has_its_help(verb: str, softseg: Run) -> None:
    assert softseg("models", verb, "--help").exit_code == 0
