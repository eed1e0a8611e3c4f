"""Mask R-CNN: torchvision's own result, painted; and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from softseg.baselines.mask_rcnn import load_mask_rcnn, paint
from softseg.errors import ModelError

from .tiny_networks import mask_rcnn_state, torchvision

CPU = torch.device("cpu")
SIDES = (32, 48)
NAMES = ("__background__", "cat", "dog")


def photo() -> torch.Tensor:
    return torch.rand((48, 72, 3), generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def things(*boxes: tuple[slice, slice], scores: list[float], labels: list[int]) -> dict[str, np.ndarray]:
    masks = np.zeros((len(boxes), 1, 4, 6))
    for mask, box in zip(masks[:, 0], boxes, strict=True):
        mask[box] = 0.9
    return {"scores": np.array(scores), "labels": np.array(labels), "masks": masks}


def test_the_surest_thing_lies_in_front() -> None:
    left, all_ = (slice(None), slice(0, 3)), (slice(None), slice(None))
    found = things(left, all_, left, scores=[0.7, 0.6, 0.5], labels=[1, 2, 2])
    painted = paint(found, NAMES, (4, 6))
    assert painted.names == ("background", "cat", "dog")  # the third is not surer than not
    np.testing.assert_array_equal(painted.labels, [[1, 1, 1, 2, 2, 2]] * 4)
    found["scores"] = np.array([0.6, 0.7, 0.5])
    painted = paint(found, NAMES, (4, 6))
    assert (painted.names, np.unique(painted.labels).tolist()) == (("background", "dog", "cat"), [1])


def test_nothing_found_is_background() -> None:
    painted = paint(things(scores=[], labels=[]), NAMES, (4, 6))
    assert (painted.names, painted.nothing, painted.labels.sum()) == (("background",), 0, 0)


def test_a_mask_counts_where_it_is_surer_than_not() -> None:
    found = things((slice(None), slice(None)), scores=[0.9], labels=[1])
    found["masks"][0, 0, :, :2] = 0.4
    np.testing.assert_array_equal(paint(found, NAMES, (4, 6)).labels, [[0, 0, 1, 1, 1, 1]] * 4)


@pytest.mark.slow
@pytest.mark.parametrize(("second", "suffix"), [(False, ".pth"), (True, ".safetensors")])
def test_as_torchvision_finds_it(second: bool, suffix: str, tmp_path: Path) -> None:
    torchvision()
    from torchvision.models import detection

    state = mask_rcnn_state(second=second)
    path = tmp_path / f"weights{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    segmented = load_mask_rcnn(path, CPU, sides=SIDES)(photo())
    build = detection.maskrcnn_resnet50_fpn_v2 if second else detection.maskrcnn_resnet50_fpn
    theirs = build(weights=None, weights_backbone=None, num_classes=3, min_size=SIDES[0], max_size=SIDES[1]).eval()
    theirs.load_state_dict(state, strict=False)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d) and not second:
            module.eps = 0.0  # as torchvision sets it when it loads its own weights of the first version
    with torch.no_grad():
        found = theirs([photo().permute(2, 0, 1).float()])[0]
    covered = (found["masks"][found["scores"] > 0.5, 0] > 0.5).any(0)
    assert 0.05 < covered.float().mean() < 1  # something was found, and not everywhere
    assert (torch.from_numpy(segmented.labels > 0) != covered).float().mean() < 0.001  # rounding
    assert set(segmented.names) == {"background", "class 1"}


def test_weights_of_something_else(tmp_path: Path) -> None:
    torchvision()
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match=r"not hold the weights of torchvision's Mask R-CNN.*cls_score\.weight is mis"):
        load_mask_rcnn(path, CPU)


def test_incomplete_weights(tmp_path: Path) -> None:
    torchvision()
    path = tmp_path / "weights.safetensors"
    state = mask_rcnn_state()
    state["backbone.body.layer9.weight"] = state.pop("backbone.body.conv1.weight")
    state["roi_heads.mask_predictor.mask_fcn_logits.bias"] = torch.zeros(5)
    save_file(state, path)
    with pytest.raises(ModelError) as caught:
        load_mask_rcnn(path, CPU)
    for words in (
        "backbone.body.conv1.weight missing",
        "backbone.body.layer9.weight unexpected",
        "mask_fcn_logits.bias has shape (5,) instead of (3,)",
    ):
        assert words in str(caught.value)


def test_the_published_weights_have_the_names_of_coco() -> None:
    torchvision()
    from softseg.baselines.mask_rcnn import _names

    names = _names(91)
    assert (len(names), names[1], names[18]) == (91, "person", "dog")
    assert _names(2) == ("class 0", "class 1")
