"""What is judged, behind one interface: layers of every method, as many as are asked for or as there are."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from softseg.baselines import spectral_matting
from softseg.errors import InputError
from softseg.evaluation import methods
from softseg.evaluation.methods import METHODS, Subject, subject_of, take_apart
from softseg.images import Photo
from softseg.pipeline import decompose
from softseg.settings import Settings

# the package gives the function under the same name
solver = sys.modules["softseg.baselines.spectral_matting"]


@pytest.fixture(scope="module")
def subject() -> Subject:
    """Three stripes, with some noise."""
    rng = np.random.default_rng(0)
    stripes = np.repeat(np.eye(3), 16, axis=0)[None].repeat(32, axis=0)
    noisy = (0.1 + 0.8 * stripes + rng.normal(scale=0.02, size=stripes.shape)).clip(0, 1)
    settings = Settings.for_solver("fast")
    few = replace(
        settings,
        spectrum=replace(settings.spectrum, count=20),
        constrained=replace(settings.constrained, clusters=6, iterations=8),
    )
    return Subject(Photo(noisy), noisy, settings=few)


def columns(subject: Subject, count: int) -> np.ndarray:
    """In place of the components of Spectral Matting: as many columns."""
    height, width = subject.features.shape[:2]
    owner = np.arange(width) * count // width
    return np.stack([np.tile(owner == k, (height, 1)) for k in range(count)]).astype(float)


@pytest.mark.parametrize("method", METHODS)
def test_three_stripes_are_three_layers(method: str, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Subject, "matting_components", columns)
    layers = take_apart(method, subject).layers(3)
    assert layers.shape == (3, 32, 48)
    assert (layers.min(), layers.max()) >= (0, 0.99) and layers.max() <= 1
    owners = layers.argmax(axis=0)
    assert len(set(owners[16, [8, 24, 40]])) == 3
    np.testing.assert_allclose(layers.sum(axis=0)[1:], 1, atol=1e-5)


def test_ours_is_the_pipeline(subject: Subject) -> None:
    expected = decompose(subject.photo, features=subject.features, settings=subject.settings).layers(2).alphas
    assert np.array_equal(take_apart("softseg", subject).layers(2), expected)


def test_auto_is_passed_on(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Parts:
        segments = np.zeros((7, 4))

        def layers(self, count: object) -> object:
            asked.append(count)
            return type("Layers", (), {"alphas": np.zeros((1, 2, 2))})

    monkeypatch.setattr("softseg.pipeline.decompose", lambda *_, **__: Parts())
    parts = take_apart("softseg", subject)
    for count in ("auto", 5, 12):
        parts.layers(count)
    assert asked == ["auto", 5, 7]  # no more than there are segments


@pytest.mark.parametrize("method", [method for method in METHODS if method != "softseg"])
def test_others_do_not_choose(method: str, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Subject, "matting_components", columns)
    assert not METHODS[method].chooses
    with pytest.raises(InputError, match="does not choose the number of layers"):
        take_apart(method, subject).layers("auto")


def test_spectral_matting_has_as_many_components(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def remember(subject: Subject, count: int) -> np.ndarray:
        asked.append(count)
        return columns(subject, count)

    monkeypatch.setattr(Subject, "matting_components", remember)
    alone = take_apart("spectral_matting", subject)
    assert [len(alone.layers(k)) for k in (5, 8)] == [5, 8]
    grouped = take_apart("spectral_matting_grouped", subject)
    assert [len(grouped.layers(k)) for k in (5, 8, 30)] == [5, 8, 20]
    assert asked == [5, 8, 20]  # the grouped ones are found once


def test_the_components_are_those_of_spectral_matting(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """From one set of eigenvectors, whatever number of components is made of them."""
    solved: list[int] = []
    solve = solver.smallest_eigenvectors

    def count(*arguments: Any) -> Any:
        solved.append(1)
        return solve(*arguments)

    seeded = replace(subject, seed=3, spectral_solver="fast")
    pixels = subject.photo.pixels
    expected = {k: spectral_matting(pixels, components=k, solver="fast", seed=3).clip(0, 1) for k in (3, 6)}
    monkeypatch.setattr(solver, "smallest_eigenvectors", count)
    for k, components in expected.items():
        np.testing.assert_allclose(seeded.matting_components(k), components, atol=1e-7)
    assert len(solved) == 1
    assert not np.allclose(
        expected[6], spectral_matting(pixels, components=6, solver="fast").clip(0, 1)[: len(expected[6])]
    )


def test_features_that_cannot_be_told_apart_give_fewer_clusters(subject: Subject) -> None:
    flat = replace(subject, features=np.repeat([[[0.1] * 3], [[0.9] * 3]], 48, axis=1).repeat(16, axis=0))
    assert take_apart("feature_clusters", flat).layers(5).shape == (2, 32, 48)


def test_features_are_those_of_the_pipeline(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = np.random.default_rng(1).normal(size=(32, 48, 5)).astype(np.float32)
    asked: list[str] = []

    def extract(image: np.ndarray, model: str, device: str) -> np.ndarray:
        asked.append(model)
        return raw

    monkeypatch.setattr(methods, "extract", extract)
    found = subject_of(subject.photo, "hub", seed=2, device="cpu")
    settings = subject.settings
    assert settings is not None
    assert (asked, found.seed, found.device) == (["hub"], 2, "cpu")
    np.testing.assert_array_equal(
        found.features, decompose(subject.photo, features=raw, settings=replace(settings, device="cpu")).features
    )


def test_an_unknown_method(subject: Subject) -> None:
    with pytest.raises(InputError, match="there is no method 'best'; choose from: softseg"):
        take_apart("best", subject)
