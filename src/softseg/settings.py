"""Every number the method uses: one frozen dataclass per stage, each default with its source.

Sources: *paper* is Aksoy et al. 2018 or its supplement, *released* a constant of the authors' implementation,
*measured* a choice of this project, with the measurement in docs/method.md or docs/quality.md; *here* one without.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from softseg.errors import InputError

Solver = Literal["fast", "exact"]
Grouping = Literal["agglomerative", "kmeans"]
Start = Literal["clusters", "regions"]
DeviceName = Literal["auto", "cpu", "cuda"]

_FEWEST_PIXELS = 256  # of the smallest photo


@dataclass(frozen=True)
class FeatureSettings:
    """From raw features to the three dimensions that the graph uses (supplement, Sec. 1.1)."""

    dimensions: int = 3  # paper
    clip: float = 5.0  # released: raw features are cut to [-5, 5]
    radius: int = 5  # released: guided filter window of 2 * 5 + 1 pixels
    regularization: float = 0.01  # released, for images in [0, 1]


@dataclass(frozen=True)
class GraphSettings:
    """The affinities and their weights (paper, Sec. 3)."""

    epsilon: float = 1e-7  # paper: regularisation of the colour covariance of a 3 x 3 window
    superpixels: int = 2500  # paper
    semantic_weight: float = 0.01  # paper: sigma_S
    color_weight: float = 0.01  # paper: sigma_C


@dataclass(frozen=True)
class SpectrumSettings:
    """The eigenvectors of the Laplacian."""

    count: int = 100  # paper
    solver: Solver = "fast"
    coarse_unknowns: int = 2_000  # measured: docs/method.md, Coarse space
    candidates: int = 128  # measured: coarse eigenvectors, of which the lowest are kept after smoothing
    smoothing_steps: int = 24  # measured: 0 keeps the coarse eigenvectors as they are


@dataclass(frozen=True)
class ConstrainedSettings:
    """Constrained sparsification (paper, Sec. 3.5; Spectral Matting)."""

    # paper: k-means clusters of the features. The pipeline starts from regions of superpixels, `Settings.constrained`
    start: Start = "clusters"
    clusters: int = 40  # released: how many of them, or of regions, of which the pipeline takes more
    iterations: int = 40  # released; the pipeline's are fewer, `Settings.constrained`
    gamma: float = 0.8  # paper: exponent of the sparsity
    weight: float = 0.3  # released: w in w^gamma
    # released: |alpha| and |1 - alpha| below this weigh no more; the pipeline's is higher, `Settings.constrained`
    floor: float = 1e-10
    first_floor: float | None = None  # of the first round, from which it falls evenly by factors; None: in all the same
    drop_below: float = 0.1  # released: a layer whose largest |alpha| is not above this is dropped
    sample: int | None = None  # pixels on which the fit is made; None: all of them, as released
    # measured: it is made on the mean eigenvectors of the superpixels instead, where these are many. docs/method.md
    superpixel_means: bool = False

    def __post_init__(self) -> None:
        """Refuse a floor with which weights are no finite numbers."""
        for name, floor in (("floor", self.floor), ("first_floor", self.first_floor)):
            if floor is not None and not 1e-30 < floor < 0.5:
                raise InputError(f"constrained.{name} is {floor}; choose a number above 1e-30 and below 0.5")
        if self.first_floor is not None and self.first_floor < self.floor:
            raise InputError(
                f"constrained.first_floor is {self.first_floor}, constrained.floor {self.floor}; the first must not be "
                "lower, or choose None for the same floor in all rounds"
            )

    @property
    def floors(self) -> list[float]:
        """Of each round: from `first_floor` to `floor` by equal factors, or `floor` in all of them."""
        if self.first_floor is None:
            return [self.floor] * self.iterations
        share = [k / max(1, self.iterations - 1) for k in range(self.iterations)]
        return [self.first_floor ** (1 - done) * self.floor**done for done in share]


@dataclass(frozen=True)
class GroupingSettings:
    """Which soft segments become one layer, and how many layers there are where nobody says. docs/quality.md."""

    # measured: of the cost of joining what differs; with 1, large areas are split before small things are layers
    area_exponent: float = 0.1
    apart: float = 0.025  # measured: the unlikeness of two segments that are as likely one thing as two
    # measured: worth of joining what is one thing, by its area; 0: large areas are not preferred
    joining: float = 0.5
    reach: float = 0.06  # measured: of the longer side; wide enough to see across blur and hair
    least_contrast: float = 0.01  # here: a border that cannot be seen does not make a merge free
    unseen_contrast: float = 0.1  # here: of colour, added where two segments do not touch
    boundary_exponent: float = 2.0  # measured: of the share of people who would draw a border; 0: it does not count
    # measured: of people, below which the map hardly tells borders apart
    least_share: float = 0.05
    # measured: distance of features from which on two segments are different things, whether a border is seen or not
    unlike: float = 0.7
    automatic_cost: float = 0.3  # measured: merges dearer than this are not made for "auto"
    automatic_most: int = 12  # here: layers, which a person can still look through


@dataclass(frozen=True)
class RelaxedSettings:
    """Relaxed sparsification (paper, Sec. 3.6)."""

    iterations: int = 20  # released
    # measured: |alpha| and |1 - alpha| below this weigh no more. With the released 0.01, 0.006 of every layer stays at
    # every pixel, a haze (docs/quality.md)
    floor: float = 0.001
    penalty: float = 100.0  # released: weight of the sum-to-one penalty
    tolerance: float = 1e-6  # measured: relative residual of each solve; the alphas are then within 1e-5 in the mean
    maximum_steps: int = 200


@dataclass(frozen=True)
class Settings:
    """All of the above for one run."""

    seed: int = 0
    device: DeviceName = "auto"
    features: FeatureSettings = field(default_factory=FeatureSettings)
    graph: GraphSettings = field(default_factory=GraphSettings)
    spectrum: SpectrumSettings = field(default_factory=SpectrumSettings)
    # measured: regions follow borders that people see, where clusters of the features do not; and after more rounds the
    # segments are harder and fewer, and what people tell apart is one. docs/quality.md. With a lower floor, alphas that
    # are 0 or 1 by chance after the first round are held there: tiny changes then make other segments. docs/method.md
    constrained: ConstrainedSettings = field(
        default_factory=lambda: ConstrainedSettings(
            start="regions", clusters=60, iterations=10, floor=1e-4, first_floor=1e-2
        )
    )
    grouping: GroupingSettings = field(default_factory=GroupingSettings)
    relaxed: RelaxedSettings = field(default_factory=RelaxedSettings)
    # here: larger photos are taken apart at about this size, and their layers brought to full size; None: never. On the
    # fast route 1,000,000; docs/performance.md, Large photos
    working_pixels: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no stage can honour, before any of them runs."""
        if self.spectrum.solver not in get_args(Solver):
            raise InputError(f"the solver is {self.spectrum.solver!r}; choose one of: {', '.join(get_args(Solver))}")
        if self.constrained.start not in get_args(Start):
            choices = ", ".join(get_args(Start))
            raise InputError(f"constrained.start is {self.constrained.start!r}; choose one of: {choices}")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise InputError(f"the seed is {self.seed!r}; choose a whole number from 0")
        counts = {
            "graph.superpixels": self.graph.superpixels,
            "spectrum.count": self.spectrum.count,
            "spectrum.coarse_unknowns": self.spectrum.coarse_unknowns,
            "spectrum.candidates": self.spectrum.candidates,
            "spectrum.smoothing_steps + 1": self.spectrum.smoothing_steps + 1,
            "constrained.clusters": self.constrained.clusters,
            "constrained.iterations": self.constrained.iterations,
            "grouping.automatic_most - 1": self.grouping.automatic_most - 1,
            "constrained.sample": 1 if self.constrained.sample is None else self.constrained.sample,
        }
        pixels = self.working_pixels
        if pixels is not None and (not isinstance(pixels, int) or pixels < _FEWEST_PIXELS):
            raise InputError(f"working_pixels is {pixels}; choose a whole number from {_FEWEST_PIXELS}, or None")
        for name, value in counts.items():
            if value < 1:
                raise InputError(f"{name} is {value}; choose at least 1")
        if not self.grouping.apart > 0:
            raise InputError(f"grouping.apart is {self.grouping.apart}; choose a number above 0")
        if not 1e-30 < self.relaxed.floor < 0.5:  # single precision must hold it
            raise InputError(f"relaxed.floor is {self.relaxed.floor}; choose a number above 1e-30 and below 0.5")

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain nested dictionaries, for report.json."""
        return asdict(self)

    @classmethod
    def for_solver(cls, solver: Solver, *, seed: int = 0, device: DeviceName = "auto") -> Settings:
        """The defaults of the fast or of the exact route.

        Raises
        ------
        InputError : there is no such solver, or the seed is not a whole number from 0.
        """
        settings = cls(seed=seed, device=device, spectrum=SpectrumSettings(solver=solver))
        if solver == "fast":
            # measured: docs/method.md, Fast against exact; the tolerance moves the layers by 0.0002 to 0.0004
            return replace(
                settings,
                constrained=replace(settings.constrained, sample=5_000, superpixel_means=True),
                relaxed=replace(settings.relaxed, tolerance=1e-5),
                working_pixels=1_000_000,
            )
        return settings
