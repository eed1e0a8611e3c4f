"""Views of a photo: labels move with the pixels, void fills what is not known."""

from __future__ import annotations

import numpy as np
import pytest

from softseg.training.augmentation import Augmentation, augment
from softseg.training.shapes import Shapes

IMAGE, LABELS, _ = Shapes(1).load(0)
COLORS = [IMAGE[k == LABELS].mean(0) for k in range(3)]


def view(seed: int = 0, **options: object) -> tuple[np.ndarray, np.ndarray]:
    image, labels = augment(IMAGE, LABELS, Augmentation(**options), np.random.default_rng(seed))  # type: ignore[arg-type]
    assert image.dtype == np.uint8 and labels.dtype == np.int32
    assert image.shape == (*labels.shape, 3)
    return image, labels


def test_nothing_is_changed_unless_asked_for() -> None:
    image, labels = view()
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_array_equal(labels, LABELS)


def test_a_mirror_image_half_of_the_time() -> None:
    mirrored = 0
    for seed in range(40):
        image, labels = view(seed, flip=True)
        turned = bool((labels != LABELS).any())
        np.testing.assert_array_equal(image, IMAGE[:, ::-1] if turned else IMAGE)
        np.testing.assert_array_equal(labels, LABELS[:, ::-1] if turned else LABELS)
        mirrored += turned
    assert 10 < mirrored < 30


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.7])
def test_labels_stay_on_their_pixels_at_any_scale(factor: float) -> None:
    image, labels = view(scale=(factor, factor))
    assert labels.shape == (round(48 * factor), round(64 * factor))
    assert set(np.unique(labels)) == {0, 1, 2}
    for k in range(3):  # the median is not moved by pixels at the borders
        np.testing.assert_allclose(np.median(image[labels == k], axis=0), COLORS[k], atol=4)


def test_scales_vary_within_their_bounds() -> None:
    heights = [view(seed, scale=(0.5, 2.0))[1].shape[0] for seed in range(60)]
    assert 24 <= min(heights) < 30 and 76 < max(heights) <= 96


def test_crops_show_two_instances_and_are_part_of_the_photo() -> None:
    for seed in range(20):
        image, labels = view(seed, crop=20)
        assert labels.shape == (20, 20) and len(np.unique(labels)) > 1
        places = [
            (y, x)
            for y in range(29)
            for x in range(45)
            if np.array_equal(LABELS[y : y + 20, x : x + 20], labels)
            and np.array_equal(IMAGE[y : y + 20, x : x + 20], image)
        ]
        assert len(places) == 1


def test_what_a_small_photo_lacks_is_void() -> None:
    image, labels = view(crop=100)
    assert labels.shape == (100, 100) and (labels >= 0).sum() == 48 * 64
    np.testing.assert_array_equal(labels[:48, :64], LABELS)
    assert (image[:, :64][48:96] == IMAGE[::-1]).all()


def test_the_longest_side_and_sizes_that_fit() -> None:
    fitting = lambda side: round((side - 1) / 16) * 16 + 1  # noqa: E731
    assert view(longest=100, fitting=fitting)[1].shape == (81, 97)  # the nearest to 75 and 100
    assert view(fitting=fitting)[1].shape == (49, 65)


def test_colours_change_but_not_the_labels() -> None:
    image, labels = view(3, jitter=0.4)
    np.testing.assert_array_equal(labels, LABELS)
    assert np.abs(image.astype(int) - IMAGE).mean() > 3
    grays, _ = view(3, gray=1.0)
    luma = IMAGE @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(grays, np.repeat(luma[..., None], 3, axis=2), atol=1)


def test_the_same_generator_gives_the_same_view() -> None:
    options = {"scale": (0.5, 2.0), "flip": True, "jitter": 0.4, "gray": 0.3, "crop": 33}
    once, again, other = (view(seed, **options) for seed in (1, 1, 2))
    np.testing.assert_array_equal(once[0], again[0])
    np.testing.assert_array_equal(once[1], again[1])
    assert (once[0] != other[0]).any()
