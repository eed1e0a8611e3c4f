"""Mask2Former: the library's own panoptic segmentation, as a label map; and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from softseg.baselines.mask2former import load_mask2former
from softseg.errors import ModelError

from .tiny_networks import save_mask2former

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_mask2former(tmp_path_factory.mktemp("mask2former"))


def photo() -> torch.Tensor:
    noise = torch.rand((64, 96, 3), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    noise[:, :48] *= 0.2
    return noise


def copied(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target))


def test_as_the_library_segments_it(folder: Path) -> None:
    import transformers

    found = load_mask2former(folder, CPU)(photo())
    theirs = transformers.Mask2FormerForUniversalSegmentation.from_pretrained(folder).eval()
    processor = transformers.Mask2FormerImageProcessor.from_pretrained(folder)
    pixels = (photo() * 255).round().byte().numpy()
    with torch.no_grad():
        output = theirs(**processor(images=pixels, return_tensors="pt"))
    expected = processor.post_process_panoptic_segmentation(output, target_sizes=[(64, 96)], label_ids_to_fuse=set())[0]
    segments = {segment["id"]: f"thing {segment['label_id']}" for segment in expected["segments_info"]}
    assert len(segments) > 1  # else there is little to compare
    named = np.array(found.names)[found.labels]
    wanted = np.vectorize(lambda number: segments.get(int(number), "nothing"))(expected["segmentation"].numpy())
    np.testing.assert_array_equal(named, wanted)
    assert found.nothing == 0
    assert len(found.names) == 1 + len(segments)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("config.json", "is no folder with a config.json"),
        ("preprocessor_config.json", "has no preprocessor_config.json"),
        ("model.safetensors", "holds no weights in the safetensors format"),
    ],
)
def test_a_file_is_missing(missing: str, words: str, folder: Path, tmp_path: Path) -> None:
    broken = copied(folder, tmp_path / "model")
    (broken / missing).unlink()
    with pytest.raises(ModelError, match=words):
        load_mask2former(broken, CPU)


def test_tensors_are_missing_or_misshapen(folder: Path, tmp_path: Path) -> None:
    state = load_file(folder / "model.safetensors")
    for name, value in (("class_predictor.bias", None), ("class_predictor.weight", torch.zeros(9, 32))):
        broken = copied(folder, tmp_path / name)
        changed = {key: tensor for key, tensor in (state | {name: value}).items() if tensor is not None}
        save_file(changed, broken / "model.safetensors", {"format": "pt"})
        with pytest.raises(ModelError, match=name.replace(".", r"\.")):
            load_mask2former(broken, CPU)


def test_another_model(folder: Path, tmp_path: Path) -> None:
    other = copied(folder, tmp_path / "model")
    settings = json.loads((other / "config.json").read_text()) | {"model_type": "maskformer"}
    (other / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match="holds a model of the type 'maskformer', not 'mask2former'"):
        load_mask2former(other, CPU)


def test_code_from_elsewhere_is_not_asked_for(folder: Path, tmp_path: Path) -> None:
    other = copied(folder, tmp_path / "model")
    settings = json.loads((other / "config.json").read_text())
    settings |= {"attn_implementation": "some/kernel", "auto_map": {"AutoConfig": "some/code--a.B"}}
    (other / "config.json").write_text(json.dumps(settings))
    assert load_mask2former(other, CPU)(photo()).labels.shape == (64, 96)
