"""The method on one photograph, in one screen: features, graph, eigenvectors, soft segments, layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import scipy.sparse as sp
import torch

from softseg.devices import resolve_device
from softseg.errors import ImageError, InputError
from softseg.features import BOUNDARIES_DIGEST, boundary_map, extract, is_model, load_features, model_digest, project
from softseg.graph import color_affinity, laplacian, matting_affinity, semantic_affinity, superpixels
from softseg.images import Photo, check_map, load_photo
from softseg.layers import SoftSegments
from softseg.progress import Progress, Stopwatch
from softseg.segments import group, initial_clusters, initial_regions, segment_tree
from softseg.segments.constrained import fit_segments
from softseg.segments.full_size import at_full_size, reduced, working_size
from softseg.segments.grouping import add_up
from softseg.segments.merging import MergeTree
from softseg.segments.relaxed import relax
from softseg.segments.simplex import project_to_simplex
from softseg.settings import DeviceName, Grouping, Settings, Solver
from softseg.spectrum import eigenbasis


def segment(
    image: Any,
    layers: int | Literal["auto"] = 5,
    *,
    features: str | Path | np.ndarray = "embedded",
    device: DeviceName = "auto",
    solver: Solver = "fast",
    grouping: Grouping = "agglomerative",
    seed: int = 0,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> SoftSegments:
    """Split a photograph into semantic soft layers: alpha mattes over what a person would name, summing to one.

    Parameters
    ----------
    image : path, PIL image, or array of shape (h, w, 3), uint8, uint16 or float in [0, 1]; at least 16 x 16 pixels.
    layers : number of layers K, at least 2 and at most the number of soft segments found (about 30); or "auto": as
        many, from 2 to 12, as the photo has parts that differ clearly.
    features : "embedded" or another model by its name, folder or .safetensors file (see `softseg.features.extract`); or
        a precomputed map: a file (.npy, .npz, .mat, .png) or an (h, w, D) array. D = 3 is used as it is, more are
        projected.
    device : where the networks run and, with the solver "fast", eigenvectors and layers are computed: "auto" (the GPU
        where there is one), "cpu" or "cuda".
    solver : "fast", or "exact" for the reference without approximations (minutes).
    grouping : "agglomerative" (nested: K + 1 layers are K layers with one split) or "kmeans" (the paper's).
    seed : of every random choice; the same seed gives the same result.
    settings : every number of the method, in place of `device`, `solver` and `seed` (not both).
    progress : is told of every stage (`softseg.progress.Progress`).

    Returns
    -------
    SoftSegments : `alphas` (K, h, w) float32 in [0, 1], largest layer first, with `save()` and `overview()`.

    Raises
    ------
    ImageError, InputError : the photo, the features or the number of layers cannot be used.
    DeviceError, ModelError : the device or the weights are not there.

    Examples
    --------
    >>> import numpy as np
    >>> photo = np.random.default_rng(0).random((32, 32, 3)) * 0.1
    >>> photo[:, 16:] += 0.8
    >>> segment(photo, 2, features=photo).alphas.shape
    (2, 32, 32)
    """
    _check_layers(layers, grouping)
    decomposition = decompose(
        image, features=features, device=device, solver=solver, seed=seed, settings=settings, progress=progress
    )
    return decomposition.layers(layers, grouping=grouping, progress=progress)


def decompose(
    image: Any,
    *,
    features: str | Path | np.ndarray = "embedded",
    device: DeviceName = "auto",
    solver: Solver = "fast",
    seed: int = 0,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Decomposition:
    """The slow part, once per photograph: features, graph, eigenvectors and soft segments. See `segment`."""
    if settings is None:
        settings = Settings.for_solver(solver, seed=seed, device=device)
    elif (device, solver, seed) != ("auto", "fast", 0):
        raise InputError("settings hold the device, the solver and the seed; give either settings or these, not both")
    photo = load_photo(image)
    if np.ptp(photo.pixels, axis=(0, 1)).max() == 0:
        raise ImageError(f"{photo.name} has one colour everywhere: there is nothing to separate; choose another photo")
    if not isinstance(features, str | Path | np.ndarray):
        raise InputError(
            f"features is a {type(features).__name__}; expected the name of a model, a file, or an (h, w, D) array"
        )
    stage, where = Stopwatch(progress), _accelerator(settings)

    with stage("features"):
        pixels = _working_pixels(photo, settings)
        semantic, model, notes = _semantic_features(photo, pixels, features, settings)
    with stage("boundaries"):
        wanted = settings.grouping.boundary_exponent != 0
        boundaries = boundary_map(pixels, str(resolve_device(settings.device))) if wanted else None
    with stage("superpixels"):
        labels = superpixels(pixels, settings.graph.superpixels)
    with stage("affinities"):
        graph = laplacian(
            matting_affinity(pixels, settings.graph.epsilon),
            semantic_affinity(semantic, labels),
            color_affinity(pixels, labels),
            settings.graph.semantic_weight,
            settings.graph.color_weight,
        )
    with stage("eigenvectors"):
        basis = eigenbasis(graph, pixels, settings.spectrum, where)
    with stage("constrained sparsification"):
        count = settings.constrained.clusters
        if settings.constrained.start == "regions":
            start = initial_regions(labels, semantic, pixels, count, boundaries=boundaries)
        else:
            start = initial_clusters(semantic, count, seed=settings.seed)
        segments = fit_segments(
            basis, start, settings.constrained, seed=settings.seed, superpixels=labels, device=where
        )

    statistics: dict[str, Any] = {
        "device": str(resolve_device(settings.device)),
        "superpixels": int(labels.max()) + 1,
        **basis.statistics,
        "soft_segments": len(segments),
    }
    if where is not None:
        # with those of the networks, which are always computed there; all other stages are the processor's
        own = ["constrained sparsification", "relaxed sparsification"]
        statistics["stages_on_device"] = ["eigenvectors", *own] if basis.refined else own
    if boundaries is not None:
        statistics["boundary_weights"] = BOUNDARIES_DIGEST
    if settings.spectrum.solver == "fast" and settings.spectrum.smoothing_steps and not basis.refined:
        notes += ("the eigenvectors are those of the coarse space, not refined at every pixel",)
    if pixels.shape != photo.pixels.shape:
        notes += (f"taken apart at {pixels.shape[1]} x {pixels.shape[0]} pixels, layers brought to full size",)
    photo = replace(photo, notes=photo.notes + notes)
    return Decomposition(
        photo, semantic, graph, segments, settings, model, stage.timings, statistics, pixels, boundaries
    )


@dataclass(frozen=True, eq=False)
class Decomposition:
    """A photograph taken apart; `layers(k)` puts it together again, as often as wanted.

    photo : the photograph as it was used.
    features : (h, w, 3) semantic features in [0, 1] of the N = h w `pixels`.
    laplacian : (N, N) sparse, of the graph.
    segments : (m, N) float64 soft segments, summing to one within about 1e-5.
    pixels : (h, w, 3) float64, the photograph at the size at which it was taken apart: its own, or for a large one that
        of `settings.working_pixels`.
    boundaries : (y, x) shares of people who would draw a boundary there, on a grid spread evenly over the photo; None
        where the settings do not ask for them.
    """

    photo: Photo
    features: np.ndarray
    laplacian: sp.csr_array
    segments: np.ndarray
    settings: Settings
    model: dict[str, str]
    timings: dict[str, float]
    statistics: dict[str, Any]
    pixels: np.ndarray
    boundaries: np.ndarray | None

    def layers(
        self,
        count: int | Literal["auto"] = 5,
        *,
        grouping: Grouping = "agglomerative",
        progress: Progress | None = None,
    ) -> SoftSegments:
        """`count` layers: soft segments that mean the same added up, then sharpened at every pixel.

        Raises
        ------
        InputError : fewer than 2 layers, or more than there are soft segments.
        """
        _check_layers(count, grouping)
        if len(self.segments) < 2:
            raise InputError(
                f"{self.photo.name} did not come apart: all of it is one soft segment, because its features are the "
                "same everywhere. Choose another photo, or other features"
            )
        if count != "auto" and count > len(self.segments):
            raise InputError(
                f"{count} layers were asked for, but {self.photo.name} came apart into {len(self.segments)} soft "
                f"segments: choose at most {len(self.segments)} layers"
            )
        stage, where = Stopwatch(progress), _accelerator(self.settings)
        with stage("grouping"):
            wanted = self.natural_count if count == "auto" else count
            grouped = self.grouped(wanted, grouping)
        with stage("relaxed sparsification"):
            relaxed = relax(grouped, self.laplacian, self.pixels, self.settings.relaxed, where)
            alphas = project_to_simplex(relaxed.alphas)
            change = np.abs(alphas - relaxed.alphas)
        statistics: dict[str, Any] = {
            "layers_chosen_automatically": count == "auto",
            "conjugate_gradient_steps": sum(relaxed.steps),
            "largest_relative_residual": relaxed.residual,
            "mean_change_by_projection": float(change.mean()),
            "largest_change_by_projection": float(change.max()),
        }
        if self.pixels.shape != self.photo.pixels.shape:
            with stage("full size"):
                epsilon = self.settings.graph.epsilon
                lifted = at_full_size(alphas, self.photo.pixels, self.settings.relaxed, epsilon, where)
            alphas = lifted.alphas
            statistics |= {
                "working_size": list(self.pixels.shape[:2]),
                "full_size_steps": lifted.steps,
                "largest_relative_residual": max(relaxed.residual, lifted.residual),
            }
        return SoftSegments(
            alphas[np.argsort(-alphas.mean(axis=(1, 2), dtype=np.float64), kind="stable")],
            self.photo.pixels,
            self.features,
            self.settings,
            grouping=grouping,
            timings=self.timings | stage.timings,
            statistics=self.statistics | statistics,
            model=self.model,
            notes=self.photo.notes,
            name=self.photo.name,
        )

    def grouped(self, count: int, grouping: Grouping = "agglomerative") -> np.ndarray:
        """(count, N) sums of soft segments that mean the same: the layers before they are sharpened."""
        if grouping == "agglomerative":
            return add_up(self.segments, self.tree.cut(count))[0]
        return group(self.segments, self.features, count, grouping, seed=self.settings.seed)[0]

    @cached_property
    def tree(self) -> MergeTree:
        """The nested groupings of the soft segments."""
        settings = self.settings.grouping
        if settings.boundary_exponent and self.boundaries is None:
            raise InputError(
                f"grouping.boundary_exponent is {settings.boundary_exponent}, but {self.photo.name} was taken apart "
                "without a map of boundaries; decompose it with these settings"
            )
        boundaries = self.boundaries if settings.boundary_exponent else None
        return segment_tree(self.segments, self.features, self.pixels, settings, boundaries=boundaries)

    @property
    def natural_count(self) -> int:
        """The number of layers that "auto" means: merges end before the first that would join what differs clearly.

        One for a photo that did not come apart, which has no layers.
        """
        settings = self.settings.grouping
        apart = max(2, self.tree.clusters_apart(settings.automatic_cost))
        return min(apart, settings.automatic_most, len(self.segments))


def _check_layers(count: int | str, grouping: Grouping) -> None:
    """What can be said of the request before the long part of the work."""
    if count != "auto" and (not isinstance(count, int | np.integer) or count < 2):
        raise InputError(f"{count!r} layers were asked for: choose a whole number from 2, or 'auto'")
    if grouping not in get_args(Grouping):
        raise InputError(f"the grouping is {grouping!r}; choose one of: {', '.join(get_args(Grouping))}")


def _accelerator(settings: Settings) -> torch.device | None:
    """Where eigenvectors and both sparsifications are computed in plain PyTorch; None: by the compiled kernels.

    These are the processor's. The exact route is the reference, and stays there.
    """
    device = resolve_device(settings.device)
    return None if device.type == "cpu" or settings.spectrum.solver == "exact" else device


def _working_pixels(photo: Photo, settings: Settings) -> np.ndarray:
    """The photograph itself, or its means over larger pixels where it has more than the method is to work on."""
    size = photo.pixels.shape[:2]
    wanted = size if settings.working_pixels is None else working_size(size, settings.working_pixels)
    return photo.pixels if wanted == size else reduced(photo.pixels, wanted)


def _semantic_features(
    photo: Photo, pixels: np.ndarray, source: str | Path | np.ndarray, settings: Settings
) -> tuple[np.ndarray, dict[str, str], tuple[str, ...]]:
    """(h, w, 3) features in [0, 1]; the model they come from, with its digest; and notes of what was changed.

    Features that are given are those of the photo; they are reduced to the (h, w, 3) `pixels` like it.
    """
    shape = (photo.pixels.shape[0], photo.pixels.shape[1])
    device = str(resolve_device(settings.device))
    notes: tuple[str, ...] = ()
    if isinstance(source, np.ndarray):
        features = check_map(source, shape, "features")
        model = {"name": "array", "digest": sha256(np.ascontiguousarray(features).tobytes()).hexdigest()}
        if features.shape[2] == 3 and not (features.min() >= 0 and features.max() <= 1):
            raise InputError(
                f"the features span [{features.min():.4g}, {features.max():.4g}]; three channels are used as they are "
                "and must lie in [0, 1]: scale them, or pass more channels to have them projected"
            )
    elif not is_model(source) and not Path(source).is_dir() and (isinstance(source, Path) or _names_file(source)):
        features, notes = load_features(source, shape)
        model = {"name": Path(source).name, "digest": sha256(Path(source).read_bytes()).hexdigest()}
    else:
        features = extract(pixels, model=str(source), device=device)
        model = {"name": str(source), "digest": model_digest(str(source))}
    if features.shape[:2] != pixels.shape[:2]:
        features = reduced(features, pixels.shape[:2])
    if features.shape[2] != 3:
        features = project(features, pixels, settings.features.dimensions, settings.features, device)
    return features, model, notes


def _names_file(source: str) -> bool:
    return bool(Path(source).suffix) or Path(source).is_file()
