"""Regions of superpixels, from which the constrained sparsification starts, against their formula."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import label

from softseg import Settings, decompose, pipeline
from softseg.errors import InputError, SoftsegError
from softseg.graph import superpixels
from softseg.segments import initial_regions
from tests.reference.regions import merged_regions


def picture(seed: int, h: int = 16, w: int = 22) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Superpixels, features, photo and a map of boundaries."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    image = np.clip(np.dstack([x / w, y / h, (x + y) % 16 / 16]) + 0.1 * rng.random((h, w, 3)), 0, 1)
    features = np.dstack([x > w / 2, y > h / 3, x + y > h]) * 0.6 + 0.2 * rng.random((h, w, 3))
    return superpixels(image, 30), features, image, rng.random((9, 11)).astype(np.float32)


def same_partition(one: np.ndarray, two: np.ndarray) -> bool:
    pairs = len(np.unique(np.stack([one.ravel(), two.ravel()]), axis=1).T)
    return pairs == len(np.unique(one)) == len(np.unique(two))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [1, 4, 12])
@pytest.mark.parametrize("drawn", [True, False])
def test_regions_are_those_of_the_formula(seed: int, count: int, drawn: bool) -> None:
    labels, features, image, shares = picture(seed)
    boundaries = shares if drawn else None
    found = initial_regions(labels, features, image, count, boundaries=boundaries)
    assert found.dtype == np.int64 and np.array_equal(np.unique(found), np.arange(count))
    assert same_partition(found, merged_regions(labels, features, image, count, boundaries))
    assert np.array_equal(found, initial_regions(labels, features, image, count, boundaries=boundaries))


@pytest.mark.parametrize("count", [3, 12])
def test_each_region_is_connected_and_made_of_whole_superpixels(count: int) -> None:
    labels, features, image, shares = picture(7)
    found = initial_regions(labels, features, image, count, boundaries=shares)
    assert all(label(found == region)[1] == 1 for region in range(count))
    assert all(len(np.unique(found[labels == s])) == 1 for s in range(labels.max() + 1))


def test_a_border_that_people_see_is_kept() -> None:
    """Two borders alike in everything but the map: the one that nobody draws goes."""
    labels = np.repeat([[0, 1, 2]], 30, axis=0).repeat(10, axis=1)
    features = np.dstack([labels * 0.5] * 3)
    boundaries = np.zeros((31, 31), dtype=np.float32)
    boundaries[:, 20:22] = 0.9
    found = initial_regions(labels, features, features, 2, boundaries=boundaries)
    assert np.array_equal(found, labels == 2)
    assert np.array_equal(initial_regions(labels, features, features, 2, boundaries=boundaries[:, ::-1]), labels > 0)


def test_what_has_the_same_features_is_one_region() -> None:
    labels, features, image, shares = picture(1)
    flat = np.full_like(features, 1 / 3)
    assert initial_regions(labels, flat, image, 20, boundaries=shares).max() == 0
    flat[labels == 5] = 0.9
    assert initial_regions(labels, flat, image, 20, boundaries=shares).max() == 1


def test_fewer_superpixels_than_regions() -> None:
    labels, features, image, _ = picture(2)
    assert same_partition(initial_regions(labels, features, image, 1000), labels)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"labels": np.zeros((4, 4))}, "expected .h, w. integers"),
        ({"features": np.zeros((3, 3, 3))}, "the features have shape"),
        ({"features": np.full((16, 22, 3), np.nan)}, "features"),
        ({"image": np.zeros((16, 21, 3))}, "expected .16, 22."),
        ({"boundaries": np.full((5, 5), 1.5)}, "expected a .y, x. map of shares"),
        ({"count": 0}, "0 regions were asked for"),
    ],
)
def test_what_is_refused(changed: dict[str, Any], message: str) -> None:
    labels, features, image, shares = picture(0)
    given = {"labels": labels, "features": features, "image": image, "count": 5, "boundaries": shares}
    with pytest.raises(SoftsegError, match=message):
        initial_regions(**(given | changed))


def test_the_pipeline_asks_for_what_its_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    _, features, image, _ = picture(3, 48, 60)
    settings = Settings.for_solver("fast")
    settings = replace(settings, spectrum=replace(settings.spectrum, count=20, candidates=40))
    clusters = replace(settings, constrained=replace(settings.constrained, start="clusters", clusters=30))
    calls = []
    for name in ("initial_regions", "initial_clusters"):
        real = getattr(pipeline, name)
        monkeypatch.setattr(
            pipeline, name, lambda *a, _r=real, _n=name, **k: (calls.append((_n, a, k)), _r(*a, **k))[1]
        )
    parts = decompose(image, features=features, settings=settings)
    assert len(parts.segments) > 1
    assert len(decompose(image, features=features, settings=clusters).segments) > 1
    (one, given, named), (two, others, _) = calls
    assert (one, two) == ("initial_regions", "initial_clusters")
    assert given[3] == settings.constrained.clusters == 60 and others[1] == 30
    assert named["boundaries"] is parts.boundaries and parts.boundaries is not None
    with pytest.raises(InputError, match="without a map of boundaries; decompose it with these settings"):
        replace(parts, boundaries=None).layers(2)


def test_regions_are_named_in_the_order_of_their_first_superpixels() -> None:
    labels, features, image, shares = picture(5)
    found = initial_regions(labels, features, image, 8, boundaries=shares)
    first = [labels[found == region].min() for region in range(8)]
    assert first == sorted(first)


def test_what_is_small_plain_or_read_only() -> None:
    labels, features, image, _ = picture(6)
    for array in (labels, features, image):
        array.flags.writeable = False
    whole = initial_regions(labels, features[..., 0], image, 4, boundaries=[[0.5]])  # type: ignore[arg-type]
    assert np.array_equal(np.unique(whole), np.arange(4))
    assert initial_regions(np.zeros_like(labels), features, image).max() == 0


def test_a_start_that_is_none_is_refused() -> None:
    settings = Settings()
    with pytest.raises(InputError, match=r"constrained\.start is 'kmeans'; choose one of: clusters, regions"):
        replace(settings, constrained=replace(settings.constrained, start="kmeans"))  # type: ignore[arg-type]
