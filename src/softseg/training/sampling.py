"""Which pixels of a photo enter the loss: the same number from each of a few instances (supplement, Sec. 1)."""

from __future__ import annotations

import numpy as np

from softseg.errors import InputError


def sample_pixels(
    labels: np.ndarray,
    rng: np.random.Generator,
    instances: int = 3,
    pixels: int = 1000,
    *,
    void: int | None = None,
) -> np.ndarray:
    """Draw a few different instances of a label map, then as many pixels inside each.

    Parameters
    ----------
    labels : (h, w) integers, the instance of each pixel. Negative labels belong to none.
    rng : the source of all choices.
    instances : how many different ones are drawn, each with the same probability.
    pixels : how many of each. They are different pixels, except in an instance that has fewer: there they are
        drawn with replacement, so that every instance has the same weight.
    void : one more label that belongs to no instance, such as 0.

    Returns
    -------
    (n,) int64 indices into `labels.ravel()`, grouped by instance; n = pixels * (number of instances drawn). A label map
    with fewer instances than asked for gives all that it has: with a single one the loss has positive pairs only.

    Raises
    ------
    InputError : the labels are not (h, w) integers, no pixel belongs to an instance, or less than one instance or pixel
        is asked for.

    Notes
    -----
    Source: supplement, Sec. 1 (3 instances, 1000 pixels of each, 10 draws a photo). It does not say what happens in
    photos with fewer than 3 instances; "balanced groups" is kept.

    Examples
    --------
    >>> labels = np.repeat([[4, 9]], 3, axis=0)  # two instances of three pixels
    >>> chosen = sample_pixels(labels, np.random.default_rng(0), pixels=5)
    >>> chosen.shape, sorted(labels.ravel()[chosen].tolist())
    ((10,), [4, 4, 4, 4, 4, 9, 9, 9, 9, 9])
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise InputError(f"the labels have shape {labels.shape} and type {labels.dtype}, expected (h, w) integers")
    if instances < 1 or pixels < 1:
        raise InputError(f"{instances} instances of {pixels} pixels were asked for; ask for at least 1 of each")
    flat = labels.ravel()
    present = instances_of(flat, void)
    if present.size == 0:
        raise InputError(
            "no pixel of the label map belongs to an instance, expected at least one label that is not void; "
            "leave this photo out"
        )
    drawn = rng.permutation(present)[:instances]
    return np.concatenate([_inside(np.flatnonzero(flat == label), rng, pixels) for label in drawn])


def instances_of(labels: np.ndarray, void: int | None = None) -> np.ndarray:
    """The labels that occur, in ascending order, without the negative ones and `void`."""
    present = np.unique(labels)
    return present[(present >= 0) & (present != void)] if void is not None else present[present >= 0]


def _inside(members: np.ndarray, rng: np.random.Generator, pixels: int) -> np.ndarray:
    return rng.choice(members, pixels, replace=members.size < pixels, shuffle=False)
