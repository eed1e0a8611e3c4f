"""One interface to all networks: where weights are looked for, what is said where there are none, and fetching them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from softseg.baselines import networks, weights
from softseg.baselines.label_map import LabelMap
from softseg.baselines.networks import NETWORKS, label_map, load_segmenter, locate_weights
from softseg.errors import ImageError, InputError, ModelError
from softseg.features import models
from softseg.features.downloads import fetch_file, fetched
from softseg.features.registry import check_weights, fetch_model
from softseg.features.repositories import damage
from tests.features.serving import Server, serving, stand_in_for_the_hub

from .tiny_networks import save_mask2former, save_pspnet

PHOTO = np.random.default_rng(0).random((40, 56, 3))


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SOFTSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving() as server:
        stand_in_for_the_hub(server, monkeypatch)
        yield server


class TestInterface:
    def test_a_photo_in_a_label_map_out(self, tmp_path: Path) -> None:
        folder = save_pspnet(tmp_path / "pspnet", classes=21)
        for named in (folder, str(folder), folder / "model.safetensors"):
            found = label_map(PHOTO, "pspnet", named, "cpu")
            assert isinstance(found, LabelMap)
            assert found.labels.shape == PHOTO.shape[:2]
            assert (found.names[15], len(found.names)) == ("person", 21)

    def test_a_network_stays_in_memory_until_its_file_changes(self, tmp_path: Path) -> None:
        folder = save_pspnet(tmp_path / "pspnet", classes=3)
        first = load_segmenter("pspnet", folder, "cpu")
        assert load_segmenter("pspnet", folder, "cpu") is first
        save_pspnet(folder, classes=4)
        assert len(label_map(PHOTO, "pspnet", folder, "cpu").names) == 4

    def test_refusals(self) -> None:
        with pytest.raises(InputError, match="no network 'unet'; choose one of: pspnet, mask_rcnn, mask2former"):
            label_map(PHOTO, "unet")  # type: ignore[arg-type]
        with pytest.raises(ImageError, match="expected"):
            label_map(PHOTO * 255, "pspnet")

    @pytest.mark.parametrize(
        ("network", "module"),
        [
            ("pspnet", "segmentation_models_pytorch"),
            ("mask_rcnn", "torchvision"),
            ("mask2former", "transformers"),
            ("mask2former", "torchvision"),
        ],
    )
    def test_a_library_is_missing(
        self, network: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, module, None)
        if module != "transformers":
            monkeypatch.setitem(sys.modules, "transformers", type(sys)("transformers"))
        with pytest.raises(ModelError, match=rf"needs the package {module}.*pip install 'softseg\[baselines\]'"):
            load_segmenter(network, tmp_path, "cpu")


class TestWhereWeightsAre:
    def test_none_installed(self, home: Path) -> None:
        for network, words in (
            ("mask_rcnn", "'mask-rcnn' are not installed; run: softseg models fetch mask-rcnn$"),
            ("mask2former", "'mask2former' are not installed; run: softseg models fetch mask2former$"),
            ("pspnet", f"PSPNet has no published weights .*such a folder at {home / 'models' / 'pspnet'}, or run: "),
        ):
            with pytest.raises(ModelError, match=words):
                locate_weights(network)

    def test_the_default_of_every_network_is_known_or_explained(self) -> None:
        named = {known.name for known in weights.known_weights()}
        assert {network.weights for network in NETWORKS.values()} - named == {"pspnet"}

    def test_a_path_that_is_not_there(self) -> None:
        with pytest.raises(
            ModelError, match=r"no weights 'x\.pth' for Mask R-CNN: .*mask-rcnn, mask-rcnn-v2, nor hub:"
        ):
            locate_weights("mask_rcnn", "x.pth")

    def test_a_folder_put_into_the_cache(self, home: Path) -> None:
        folder = save_pspnet(home / "models" / "pspnet")
        assert locate_weights("pspnet") == folder

    def test_one_of_the_hub(self, server: Server, home: Path, tmp_path: Path) -> None:
        pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
        with pytest.raises(ModelError, match="run: softseg models fetch hub:some/pspnet"):
            locate_weights("pspnet", "hub:some/pspnet")
        files = {path.name: path.read_bytes() for path in save_pspnet(tmp_path / "made").iterdir()}
        server.add_model("some/pspnet", files)
        fetch_model(networks.find_model("hub:some/pspnet"))
        assert locate_weights("pspnet", "hub:some/pspnet") == home / "models" / "hub" / "some--pspnet"
        assert len(label_map(PHOTO, "pspnet", "hub:some/pspnet", "cpu").names) == 5

    def test_the_named_one_is_fetched_checked_and_used(self, server: Server, home: Path, tmp_path: Path) -> None:
        pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
        files = {path.name: path.read_bytes() for path in save_mask2former(tmp_path / "made").iterdir()}
        server.add_model("facebook/mask2former-swin-tiny-coco-panoptic", files)
        known = weights.named_weights("mask2former")
        assert known is not None
        assert fetch_model(known) == known.locate() == home / "models" / "mask2former"
        assert label_map(PHOTO, "mask2former", device="cpu").labels.shape == PHOTO.shape[:2]
        (home / "models" / "mask2former" / "model.safetensors").write_bytes(b"damaged")
        with pytest.raises(ModelError, match=r"are damaged: .*run: softseg models fetch mask2former --force"):
            label_map(PHOTO, "mask2former", device="cpu")


class TestFilesWithAnAddress:
    CONTENT = b"weights" * 1000
    NAME = f"net_coco-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"

    def test_it_arrives_with_its_list(self, server: Server, home: Path) -> None:
        server.files[f"/models/{self.NAME}"] = self.CONTENT
        known = weights.named_weights("mask-rcnn")
        assert known is not None
        known = replace(known, source=f"{server.address}/models/{self.NAME}")
        folder = fetch_model(known)
        assert folder == known.locate() == fetched(models.target("mask-rcnn")) == home / "models" / "mask-rcnn"
        assert sorted(path.name for path in folder.iterdir()) == sorted([self.NAME, "softseg.json"])
        assert (folder / self.NAME).read_bytes() == self.CONTENT
        assert check_weights(known)
        (folder / self.NAME).write_bytes(self.CONTENT[::-1])
        assert "has SHA-256" in damage(folder)[0]
        with pytest.raises(ModelError, match="run: softseg models fetch mask-rcnn --force"):
            check_weights(known)

    def test_what_is_damaged_on_the_way_is_not_kept(self, server: Server, home: Path) -> None:
        server.files[f"/{self.NAME}"] = self.CONTENT[1:]
        with pytest.raises(ModelError, match=r"came damaged .*run the same again"):
            fetch_file(f"{server.address}/{self.NAME}", home / "models" / "net", "fetch")
        assert fetched(home / "models" / "net") is None
        assert not list(home.rglob("*.pth"))

    @pytest.mark.parametrize(
        ("status", "words"), [(404, r"does not exist \(HTTP 404\)"), (503, "answers with HTTP 503")]
    )
    def test_refusals(self, status: int, words: str, server: Server, home: Path) -> None:
        server.refused[f"/{self.NAME}"] = status
        with pytest.raises(ModelError, match=words):
            fetch_file(f"{server.address}/{self.NAME}", home / "models" / "net", "fetch")

    def test_no_network(self, server: Server, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        address = server.address
        server.server_close()
        with pytest.raises(
            ModelError, match=r"cannot be reached .*connected machine run: fetch, and copy the folder net"
        ):
            fetch_file(f"{address}/{self.NAME}", home / "models" / "net", "fetch")
        monkeypatch.setenv("SOFTSEG_OFFLINE", "1")
        with pytest.raises(ModelError, match="SOFTSEG_OFFLINE forbids the network"):
            fetch_file(f"{address}/{self.NAME}", home / "models" / "net", "fetch")

    def test_the_addresses_are_those_that_torchvision_publishes(self) -> None:
        detection = pytest.importorskip("torchvision.models.detection")
        published = {
            "mask-rcnn": detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1,
            "mask-rcnn-v2": detection.MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
        }
        for name, theirs in published.items():
            ours = weights.named_weights(name)
            assert ours is not None
            assert ours.source == theirs.url
