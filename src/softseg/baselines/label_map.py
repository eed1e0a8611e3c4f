"""What a segmentation network says of a photo: one label per pixel, and what each label is called."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from softseg.errors import InputError


@dataclass(frozen=True, eq=False)
class LabelMap:
    """A hard segmentation with names.

    labels : (h, w) integers 0 .. m-1; labels that occur nowhere are allowed.
    names : m names, that of label k at place k. Two labels may have one name, as two persons do.
    nothing : the label of pixels that the network gave to nothing; None: every pixel belongs to something.

    Raises
    ------
    InputError : a label without a name, or labels of another form.

    Examples
    --------
    >>> found = LabelMap(np.array([[0, 2], [2, 2]]), ("background", "cat", "dog"), nothing=0)
    >>> found.shares()
    {0: 0.25, 2: 0.75}
    """

    labels: np.ndarray
    names: tuple[str, ...]
    nothing: int | None = None

    def __post_init__(self) -> None:
        """Refuse labels without names."""
        if self.labels.ndim != 2 or self.labels.size == 0 or not np.issubdtype(self.labels.dtype, np.integer):
            raise InputError(f"labels are {self.labels.dtype} {self.labels.shape}; expected (h, w) whole numbers")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.names):
            raise InputError(f"labels go from {low} to {high}, but there are {len(self.names)} names, for 0 and up")
        if self.nothing is not None and not 0 <= self.nothing < len(self.names):
            raise InputError(f"the label {self.nothing} for nothing has no name; there are {len(self.names)} names")

    def shares(self) -> dict[int, float]:
        """The share of the photo that each label covers; labels that cover something only."""
        counts = np.bincount(self.labels.ravel())
        return {int(label): float(counts[label] / self.labels.size) for label in np.flatnonzero(counts)}
