"""Data sets on tiny generated files: what is read, and what is refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from softseg.errors import InputError
from softseg.training.coco import CocoPanoptic, CocoStuff
from softseg.training.datasets import Bsds, Folder, Joined, LabelledPhotos, UnlabelledError, split
from softseg.training.open import open_photos
from softseg.training.shapes import Shapes

H, W = 20, 30
IMAGE = np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)
LABELS = (np.arange(W) // 10 + np.zeros((H, 1))).astype(np.uint8)  # three stripes: 0, 1, 2


def write(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def write_bsds(folder: Path, name: str, maps: list[np.ndarray]) -> None:
    write(folder / f"{name}.jpg", IMAGE)
    cells = np.empty((1, len(maps)), dtype=object)
    for a, labels in enumerate(maps):
        cells[0, a] = {"Segmentation": labels, "Boundaries": labels}
    savemat(folder / f"{name}.mat", {"groundTruth": cells})


# BSDS 500


def test_bsds_draws_an_annotator_in_training_and_takes_the_first_in_validation(tmp_path: Path) -> None:
    write_bsds(tmp_path, "7", [np.full((H, W), a, np.uint16) for a in (1, 2, 3)])
    photos = Bsds(tmp_path)
    assert list(photos.names) == ["7"]
    sample = photos.load(0)
    assert sample.image.shape == (H, W, 3) and sample.image.dtype == np.uint8
    assert sample.labels.dtype == np.int32 and (sample.labels == 1).all()
    rng = np.random.default_rng(0)
    assert {int(photos.load(0, rng).labels[0, 0]) for _ in range(30)} == {1, 2, 3}


def test_bsds_with_damaged_or_missing_segmentations(tmp_path: Path) -> None:
    write_bsds(tmp_path, "a", [LABELS])
    path = tmp_path / "a.mat"
    data = path.read_bytes()
    for broken, words in ((data[:200], "no BSDS segmentations"), (b"nothing", "no BSDS segmentations")):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=f"a.mat holds {words}"):
            Bsds(tmp_path).load(0)
    savemat(path, {"something": LABELS})
    with pytest.raises(InputError, match="groundTruth"):
        Bsds(tmp_path).load(0)
    path.unlink()
    with pytest.raises(InputError, match=r"a\.mat does not exist"):
        Bsds(tmp_path).load(0)


# Plain folders


@pytest.mark.parametrize("layout", ["nested", "two folders", "beside"])
def test_folders_in_each_layout(layout: str, tmp_path: Path) -> None:
    for name in ("b", "a"):
        photo, labels = {
            "nested": (f"{name}/image.png", f"{name}/labels.png"),
            "two folders": (f"images/{name}.png", f"labels/{name}.png"),
            "beside": (f"{name}.jpg", f"{name}.png"),
        }[layout]
        write(tmp_path / photo, IMAGE)
        write(tmp_path / labels, LABELS)
    photos = Folder(tmp_path)
    assert list(photos.names) == ["a", "b"]
    sample = photos.load(1)
    assert sample.name == "b" and sample.labels.dtype == np.int32
    np.testing.assert_array_equal(np.unique(sample.labels), [-1, 1, 2])  # 0 is void
    assert layout == "beside" or np.array_equal(sample.image, IMAGE)


def test_label_maps_may_have_16_bits_or_a_palette(tmp_path: Path) -> None:
    for i, labels in enumerate((LABELS.astype(np.uint16) * 20_000, LABELS)):
        write(tmp_path / "images" / f"{i}.png", IMAGE)
        image = Image.fromarray(labels)
        if i:
            image = image.convert("P")
            image.putpalette([7, 7, 7] * 256)
            image.putdata(LABELS.ravel().tolist()) if hasattr(image, "putdata") else None
        (tmp_path / "labels").mkdir(exist_ok=True)
        image.save(tmp_path / "labels" / f"{i}.png")
    photos = Folder(tmp_path)
    assert np.unique(photos.load(0).labels).tolist() == [-1, 20_000, 40_000]
    assert np.unique(photos.load(1).labels).tolist() == [-1, 1, 2]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS[:10], "has labels for 30 x 10 pixels, but .*a.png has 30 x 20"),
        (LABELS.T.copy(), "has labels for 20 x 30"),
        (np.zeros((H, W), np.uint8), "has no label for any pixel of .*leave this photo out"),
        (IMAGE, "3 channels, expected a label map of one channel"),
        (np.ones((H, W), np.float32), "type float32, expected whole numbers"),
        (None, "does not exist, expected the label map"),
        (b"damaged", "no readable label map"),
        (b"\x89PNG\r\n\x1a\n cut off", "no readable label map"),
    ],
)
def test_label_maps_that_cannot_be_used_are_named(labels: Any, words: str, tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", IMAGE)
    path = tmp_path / "labels" / "a.png"
    path.parent.mkdir()
    if isinstance(labels, bytes):
        path.write_bytes(labels)
    elif labels is not None and labels.dtype == np.float32:
        Image.fromarray(labels).save(path, format="TIFF")
    elif labels is not None:
        write(path, labels)
    with pytest.raises(InputError, match=words) as refusal:
        Folder(tmp_path).load(0)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_photo_turned_by_exif_is_refused(orientation: int, tmp_path: Path) -> None:
    labels = write(tmp_path / "a.png", LABELS)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(IMAGE).save(tmp_path / "a.jpg", exif=exif)
    if orientation == 1:
        assert Folder(tmp_path).load(0).labels.shape == (H, W)
        return
    with pytest.raises(InputError, match=r"a\.jpg is stored turned, with an EXIF orientation.*save it") as refusal:
        Folder(tmp_path).load(0)
    assert str(labels) not in str(refusal.value)


def test_a_photo_without_labels_comes_with_its_refusal(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", IMAGE)
    write(tmp_path / "labels" / "a.png", np.zeros((H, W), np.uint8))
    with pytest.raises(UnlabelledError) as refusal:
        Folder(tmp_path).load(0)
    np.testing.assert_array_equal(refusal.value.sample.image, IMAGE)
    assert (refusal.value.sample.labels == -1).all()


def test_a_damaged_photo_is_named(tmp_path: Path) -> None:
    photo = write(tmp_path / "images" / "a.png", IMAGE)
    write(tmp_path / "labels" / "a.png", LABELS)
    photo.write_bytes(photo.read_bytes()[:300])
    with pytest.raises(InputError, match=r"images.a\.png is damaged"):
        Folder(tmp_path).load(0)


@pytest.mark.parametrize("kind", ["bsds", "folder", "msrc-train", "coco-stuff", "coco-panoptic"])
def test_folders_without_the_data_say_what_was_expected(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected"):
        open_photos(f"{kind}:{tmp_path}")
    with pytest.raises(InputError, match="expected"):
        open_photos(f"{kind}:{tmp_path / 'nothing'}")


@pytest.mark.parametrize("source", ["bsds", "bsds:", "imagenet:/data", "/data"])
def test_words_that_name_no_data_set(source: str) -> None:
    with pytest.raises(InputError, match="expected KIND:PATH with KIND one of: bsds, msrc-train"):
        open_photos(source)


# Joined and split


def test_the_split_is_fixed_and_leaves_nothing_out() -> None:
    photos = Shapes(12)
    learn, validate = split(photos, validation=False), split(photos, validation=True)
    in_order = sorted(photos.names)
    assert list(validate.names) == in_order[::5]
    assert sorted([*learn.names, *validate.names]) == in_order
    assert validate.load(1).name == in_order[5]


def test_the_split_of_a_folder_on_the_command_line(tmp_path: Path) -> None:
    for i in range(6):
        write(tmp_path / f"p{i}" / "image.png", IMAGE)
        write(tmp_path / f"p{i}" / "labels.png", LABELS)
    assert list(open_photos(f"msrc-val:{tmp_path}").names) == ["p0", "p5"]
    assert list(open_photos(f"msrc-train:{tmp_path}").names) == ["p1", "p2", "p3", "p4"]


def test_joined_photos() -> None:
    parts: list[LabelledPhotos] = [Shapes(2), Shapes(3)]
    joined = Joined(parts)
    assert list(joined.names) == [*parts[0].names, *parts[1].names]
    assert joined.load(3).name == "shapes-1"


# COCO


def write_coco_stuff(root: Path, things: list[dict[str, Any]], classes: np.ndarray) -> None:
    write(root / "val2017" / "000001.jpg", IMAGE)
    write(root / "stuffthingmaps" / "val2017" / "000001.png", classes)
    (root / "annotations").mkdir(exist_ok=True)
    content = {"images": [{"id": 1, "file_name": "000001.jpg"}], "annotations": things}
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(content))


def box(x: int, y: int, width: int, height: int) -> list[list[int]]:
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def runs(mask: np.ndarray) -> dict[str, Any]:
    """Run lengths down the columns, beginning with zeros."""
    flat = mask.T.ravel().astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
    return {"counts": np.diff(np.concatenate([[0], edges, [flat.size]])).tolist(), "size": list(mask.shape)}


def thing(segmentation: Any, area: float, category: int = 18, crowd: int = 0) -> dict[str, Any]:
    return {"image_id": 1, "segmentation": segmentation, "area": area, "category_id": category, "iscrowd": crowd}


def test_coco_stuff_takes_things_apart(tmp_path: Path) -> None:
    classes = np.full((H, W), 120, np.uint8)  # stuff
    classes[5:15, 2:26] = 17  # dogs: category 18
    classes[:2] = 255
    classes[16:18, 2:6] = 17  # of a dog that no mask covers
    crowd = np.zeros((H, W), bool)
    crowd[5:15, 20:26] = True
    things = [
        thing(box(2, 5, 10, 10), 100),
        thing(box(8, 7, 4, 4), 16),  # in front of the larger one
        thing(box(12, 0, 8, 20), 160),  # reaches beyond the dogs
        thing(runs(crowd), 60, crowd=1),
    ]
    write_coco_stuff(tmp_path, things, classes)
    photos = open_photos(f"coco-stuff:{tmp_path}@val2017")
    labels = photos.load(0).labels
    assert list(photos.names) == ["000001"]
    assert (labels[:2] == -1).all() and (labels[5:15, 20:26] == -1).all() and (labels[16:18, 2:6] == -1).all()
    assert labels[10, 28] == labels[3, 14] == 120
    large, small, other = labels[6, 3], labels[9, 10], labels[10, 15]
    assert len({int(large), int(small), int(other), 120}) == 4
    assert (labels[7:11, 8:12] == small).all() and (labels[5:15, 12:20] == other).all()


def test_coco_stuff_with_compressed_run_lengths(tmp_path: Path) -> None:
    from pycocotools import mask as masks

    mask = np.zeros((H, W), np.uint8)
    mask[4:9, 3:12] = 1
    compressed = masks.encode(np.asfortranarray(mask))
    compressed["counts"] = compressed["counts"].decode()
    write_coco_stuff(tmp_path, [thing(compressed, 45)], np.full((H, W), 17, np.uint8))
    labels = CocoStuff(tmp_path, "val2017").load(0).labels
    assert (labels[mask == 1] >= 1000).all() and (labels[mask == 0] == -1).all()


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ("nonsense", "a mask for .*000001.png cannot be read"),
        ([], "cannot be read"),
        (runs(np.ones((5, 5), bool)), "30 x 20, but a mask for it 5 x 5"),
    ],
)
def test_coco_masks_that_do_not_fit(segmentation: Any, words: str, tmp_path: Path) -> None:
    write_coco_stuff(tmp_path, [thing(segmentation, 10)], np.full((H, W), 17, np.uint8))
    with pytest.raises(InputError, match=words):
        CocoStuff(tmp_path, "val2017").load(0)


def write_panoptic(root: Path, ids: np.ndarray, segments: list[dict[str, Any]]) -> None:
    write(root / "val2017" / "000001.jpg", IMAGE)
    colors = np.dstack([ids % 256, ids // 256 % 256, ids // 256**2]).astype(np.uint8)
    write(root / "annotations" / "panoptic_val2017" / "000001.png", colors)
    annotation = {"image_id": 1, "file_name": "000001.png", "segments_info": segments}
    content = {"images": [{"id": 1, "file_name": "000001.jpg"}], "annotations": [annotation]}
    (root / "annotations" / "panoptic_val2017.json").write_text(json.dumps(content))


def test_coco_panoptic_reads_ids_from_colours(tmp_path: Path) -> None:
    ids = np.zeros((H, W), int)
    ids[:, 5:10], ids[:, 10:20], ids[:, 20:] = 3, 3 + 256 * 7, 9 + 256**2 * 5
    segments = [{"id": 3}, {"id": 3 + 256 * 7, "iscrowd": 0}, {"id": 9 + 256**2 * 5, "iscrowd": 1}]
    write_panoptic(tmp_path, ids, segments)
    sample = open_photos(f"coco-panoptic:{tmp_path}@val2017").load(0)
    assert sample.name == "000001"
    np.testing.assert_array_equal(sample.labels, np.where((ids == 0) | (ids >= 256**2), -1, ids))


def test_coco_panoptic_with_an_unknown_segment(tmp_path: Path) -> None:
    write_panoptic(tmp_path, np.full((H, W), 4), [{"id": 3}])
    with pytest.raises(InputError, match=r"segment 4 that the \.json does not list"):
        CocoPanoptic(tmp_path, "val2017").load(0)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"images": [], "annotations": 3}'])
def test_damaged_annotations(text: str, tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    for name in ("instances", "panoptic"):
        (tmp_path / "annotations" / f"{name}_train2017.json").write_text(text)
    for kind in ("coco-stuff", "coco-panoptic"):
        with pytest.raises(InputError, match=r"train2017\.json .*expected annotations"):
            open_photos(f"{kind}:{tmp_path}")
