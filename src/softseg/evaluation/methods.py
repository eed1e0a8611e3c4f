"""What is judged: ways of taking a photo apart into layers, ours and others, behind one interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from softseg.errors import InputError
from softseg.features import extract, project
from softseg.images import Photo
from softseg.settings import DeviceName, Settings, Solver
from softseg.spectrum import Eigenbasis

Count = int | Literal["auto"]


@dataclass(frozen=True, eq=False)
class Subject:
    """A photo with its features, computed once and shared by all methods.

    photo : the photograph.
    features : (h, w, 3) semantic features in [0, 1].
    seed : of every random choice.
    device : of what can use one.
    settings : of our method, in place of the defaults with that seed and device.
    spectral_solver : of the eigenvectors of Spectral Matting: as published, or by the coarse space of our fast route.
    """

    photo: Photo
    features: np.ndarray
    seed: int = 0
    device: DeviceName = "auto"
    settings: Settings | None = None
    spectral_solver: Solver = "exact"

    @cached_property
    def matting_basis(self) -> Eigenbasis:
        """The 50 eigenvectors of Spectral Matting: once, whatever number of components is made of them."""
        from softseg.baselines.spectral_matting import matting_laplacian, smallest_eigenvectors

        pixels = self.photo.pixels
        return smallest_eigenvectors(matting_laplacian(pixels), pixels, 50, self.spectral_solver)

    def matting_components(self, count: int) -> np.ndarray:
        """(m, h, w) what `softseg.baselines.spectral_matting` finds with `count` components, cut to [0, 1]."""
        from softseg.baselines.spectral_matting import initial_components, matting_components

        start = initial_components(self.matting_basis, count, seed=self.seed)
        sample = Settings.for_solver(self.spectral_solver).constrained.sample
        found = matting_components(self.matting_basis, start, sample=sample, seed=self.seed)
        return found.reshape(-1, *self.photo.pixels.shape[:2]).clip(0, 1)


class TakenApart(Protocol):
    """A photo taken apart by one method: the slow part is done."""

    chooses: ClassVar[bool]  # whether it can choose the number of layers itself, "auto"

    def __init__(self, subject: Subject) -> None: ...

    def layers(self, count: Count) -> np.ndarray:
        """(k, h, w) alphas in [0, 1] that sum to at most one; k = count, or fewer where there are no more."""


class Softseg:
    """Our soft layers."""

    chooses: ClassVar[bool] = True

    def __init__(self, subject: Subject) -> None:
        from softseg.pipeline import decompose

        settings = subject.settings or Settings.for_solver("fast", seed=subject.seed, device=subject.device)
        self._parts = decompose(subject.photo, features=subject.features, settings=settings)

    def layers(self, count: Count) -> np.ndarray:
        """As `softseg.Decomposition.layers`."""
        wanted: Any = count if count == "auto" else max(2, min(count, len(self._parts.segments)))
        return self._parts.layers(wanted).alphas


class SpectralMatting:
    """Spectral Matting run with as many components as layers are wanted."""

    chooses: ClassVar[bool] = False

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def layers(self, count: Count) -> np.ndarray:
        """Its components, cut to [0, 1]: they leave it a little."""
        return self._subject.matting_components(_fixed(count, self))


class SpectralMattingGrouped:
    """The 20 components of Spectral Matting, added up where their semantic features are alike, as the paper does."""

    chooses: ClassVar[bool] = False

    def __init__(self, subject: Subject) -> None:
        self._features = subject.features
        self._components = subject.matting_components(20)

    def layers(self, count: Count) -> np.ndarray:
        """The components of each group added up, cut to [0, 1]."""
        from softseg.segments import group

        wanted = min(_fixed(count, self), len(self._components))
        grouped, _ = group(self._components, self._features, wanted)
        return grouped.reshape(wanted, *self._features.shape[:2]).clip(0, 1)


class FeatureClusters:
    """The hard segmentation that the same features give without the graph: k-means."""

    chooses: ClassVar[bool] = False

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def layers(self, count: Count) -> np.ndarray:
        """One layer of zeros and ones for each cluster."""
        from softseg.baselines import feature_clusters

        labels = feature_clusters(self._subject.features, _fixed(count, self), seed=self._subject.seed)
        return np.asarray(labels == np.arange(labels.max() + 1)[:, None, None], dtype=np.float64)


METHODS: Mapping[str, type[TakenApart]] = {
    "softseg": Softseg,
    "spectral_matting": SpectralMatting,
    "spectral_matting_grouped": SpectralMattingGrouped,
    "feature_clusters": FeatureClusters,
}


def take_apart(method: str, subject: Subject) -> TakenApart:
    """The slow part of a method, named as in `METHODS`.

    Raises
    ------
    InputError : there is no such method.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> subject = Subject(Photo(rng.random((32, 32, 3))), rng.random((32, 32, 3)))
    >>> take_apart("feature_clusters", subject).layers(4).shape
    (4, 32, 32)
    """
    return check_method(method)(subject)


def check_method(method: str) -> type[TakenApart]:
    """The class of that name; InputError where there is none."""
    if method not in METHODS:
        raise InputError(f"there is no method {method!r}; choose from: {', '.join(METHODS)}")
    return METHODS[method]


def subject_of(photo: Photo, model: str = "embedded", *, seed: int = 0, device: DeviceName = "auto") -> Subject:
    """A photo with the features of a model, as `softseg.decompose` would compute and project them."""
    raw = extract(photo.pixels, model, device)
    return Subject(photo, project(raw, photo.pixels, device=device), seed, device)


def _fixed(count: Count, method: object) -> int:
    if count == "auto":
        raise InputError(f"{type(method).__name__} does not choose the number of layers; give a number")
    return count
