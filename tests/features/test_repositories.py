"""Models of the hub, fetched by its own library from a server on this machine that answers as it does."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from softseg.errors import ModelError, OutputError
from softseg.features.repositories import damage, fetch_repository, folder_digest, manifest_of, require

from .serving import Server, serving, stand_in_for_the_hub

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed: pip install 'softseg[hub]'")

FILES = {
    "config.json": b'{"model_type": "dinov2"}',
    "preprocessor_config.json": b"{}",
    "model.safetensors": b"weights" * 1000,
    "pytorch_model.bin": b"could run code",
    "README.md": b"words",
}
COMMAND = "softseg models fetch hub:owner/model"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving() as server:
        stand_in_for_the_hub(server, monkeypatch)
        server.add_model("owner/model", FILES)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models" / "model"


def test_settings_and_weights_arrive_with_their_list(server: Server, folder: Path) -> None:
    manifest = fetch_repository("owner/model", folder, COMMAND)
    wanted = ["config.json", "model.safetensors", "preprocessor_config.json"]
    assert sorted(path.name for path in folder.iterdir()) == [*wanted, "softseg.json"]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    for name in wanted:
        assert (folder / name).read_bytes() == FILES[name]
    assert manifest == manifest_of(folder)
    assert sorted(manifest["files"]) == wanted
    assert (manifest["repository"], manifest["licence"]) == ("owner/model", "apache-2.0")
    assert len(manifest["revision"]) == 40
    assert damage(folder) == []


def test_weights_in_several_files(server: Server, folder: Path) -> None:
    parts = {f"model-0000{i}-of-00002.safetensors": b"part %d" % i for i in (1, 2)}
    server.add_model("owner/large", {"config.json": b"{}", "model.safetensors.index.json": b"{}", **parts})
    manifest = fetch_repository("owner/large", folder, COMMAND)
    assert sorted(manifest["files"]) == ["config.json", *parts, "model.safetensors.index.json"]


def test_an_older_folder_is_replaced(server: Server, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "old").touch()
    fetch_repository("owner/model", folder, COMMAND)
    assert not (folder / "old").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_what_is_damaged_on_the_way_is_not_kept(name: str, server: Server, folder: Path) -> None:
    (path,) = (path for path in server.files if path.endswith(f"/{name}"))
    server.files[path] = FILES[name][::-1]
    with pytest.raises(ModelError, match=f"{re.escape(name)} came damaged from .*run the same again"):
        fetch_repository("owner/model", folder, COMMAND)
    assert not folder.exists()
    server.files[path] = FILES[name]
    fetch_repository("owner/model", folder, COMMAND)
    assert (folder / name).read_bytes() == FILES[name]


def test_a_gated_model_says_how_to_get_in(server: Server, folder: Path) -> None:
    for path in server.files:
        if "/resolve/" in path:
            server.refused[path] = 403
    server.refusal_headers["X-Error-Code"] = "GatedRepo"
    with pytest.raises(ModelError, match=r"/owner/model refuses the download \(HTTP 403\).*Accept its terms.*HF_TOKEN"):
        fetch_repository("owner/model", folder, COMMAND)
    assert not folder.exists()


def test_a_model_that_is_not_there_or_private(server: Server, folder: Path) -> None:
    server.refused["/api/models/owner/none/revision/main"] = 401
    server.refusal_headers["X-Error-Code"] = "RepoNotFound"
    with pytest.raises(ModelError, match="/owner/none does not exist, or is private; check the name"):
        fetch_repository("owner/none", folder, COMMAND)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"model.safetensors": b""}, r"no config\.json"),
        ({"config.json": b"{}", "pytorch_model.bin": b""}, r"no weights in the safetensors format"),
    ],
)
def test_a_repository_without_what_is_needed(files: dict[str, bytes], words: str, server: Server, folder: Path) -> None:
    server.add_model("owner/other", files)
    with pytest.raises(ModelError, match=words):
        fetch_repository("owner/other", folder, COMMAND)


@pytest.mark.parametrize("name", ["SOFTSEG_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline(name: str, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    words = f"{name} forbids the network.*connected machine run: {COMMAND}, and copy the folder model .* to {folder}"
    with pytest.raises(ModelError, match=words):
        fetch_repository("owner/model", folder, COMMAND)
    assert not server.requests


def test_without_a_network(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.address)
    with pytest.raises(ModelError, match=f"cannot be reached .*; on a connected machine run: {COMMAND}"):
        fetch_repository("owner/model", folder, COMMAND)


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="could not be written"):
        fetch_repository("owner/model", tmp_path / "file" / "model", COMMAND)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "the disk is full"), (errno.EROFS, "not permitted")]
    + [(number, "not permitted") for number in (errno.EACCES, errno.EPERM)],
)
def test_a_disk_that_takes_no_more_is_no_missing_network(
    number: int, words: str, server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(number, "as the system says")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    with pytest.raises(OutputError, match=f"{re.escape(str(folder))} could not be written: .*{words}"):
        fetch_repository("owner/model", folder, COMMAND)
    assert not folder.exists()


def test_damage_is_named(server: Server, folder: Path) -> None:
    fetch_repository("owner/model", folder, COMMAND)
    digest = folder_digest(folder)
    (folder / "model.safetensors").write_bytes(FILES["model.safetensors"][::-1])
    (folder / "config.json").write_bytes(b"{}")
    (folder / "preprocessor_config.json").unlink()
    sentences = " | ".join(damage(folder))
    assert "model.safetensors has SHA-256" in sentences
    assert "config.json has 2 bytes instead of 24" in sentences
    assert "preprocessor_config.json is missing" in sentences
    assert folder_digest(folder) != digest
    for text in ("{", "[]", '{"files": {"config.json": {}}}'):
        (folder / "softseg.json").write_text(text)
        with pytest.raises(ModelError, match="fetch the model again"):
            damage(folder)


def test_a_folder_without_a_list_has_no_known_damage(folder: Path) -> None:
    folder.mkdir(parents=True)
    assert manifest_of(folder) is None
    assert damage(folder) == []


def test_a_missing_or_broken_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"reading needs the package softseg_none.*pip install 'softseg\[hub\]'"):
        require("softseg_none", "reading")
    (tmp_path / "softseg_broken.py").write_text("raise RuntimeError('built for another torch')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=r"does not start \(built for another torch\).*softseg\[hub\]"):
        require("softseg_broken", "reading")


def test_the_list_is_readable(server: Server, folder: Path) -> None:
    fetch_repository("owner/model", folder, COMMAND)
    assert json.loads((folder / "softseg.json").read_text())["files"]["config.json"]["bytes"] == 24
