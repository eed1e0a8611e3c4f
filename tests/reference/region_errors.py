"""Covering, Rand index, variation of information by definition: regions as sets of pixels, pairs one by one."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np


def regions(labels: np.ndarray) -> list[set[int]]:
    """The pixels of each region."""
    flat = labels.ravel().tolist()
    return [{p for p, label in enumerate(flat) if label == name} for name in sorted(set(flat))]


def covering(labels: np.ndarray, truths: list[np.ndarray]) -> float:
    """Over the regions of all people together: best intersection over union, weighted by area."""
    above = below = 0.0
    for truth in truths:
        for true in regions(truth):
            above += len(true) * max(len(true & ours) / len(true | ours) for ours in regions(labels))
            below += len(true)
    return above / below


def rand_index(labels: np.ndarray, truth: np.ndarray) -> float:
    """Share of unordered pairs that are together in both or apart in both."""
    one, two = labels.ravel().tolist(), truth.ravel().tolist()
    pairs = list(combinations(range(len(one)), 2))
    return sum((one[p] == one[q]) == (two[p] == two[q]) for p, q in pairs) / len(pairs)


def information(labels: np.ndarray, truth: np.ndarray) -> float:
    """H(labels | truth) + H(truth | labels) in bits, each conditional entropy by its own sum."""
    ours, true = regions(labels), regions(truth)
    return conditional_entropy(ours, true, labels.size) + conditional_entropy(true, ours, labels.size)


def conditional_entropy(of: list[set[int]], given: list[set[int]], pixels: int) -> float:
    """sum_ab p(a, b) log2(p(b) / p(a, b))."""
    return sum(len(a & b) / pixels * math.log2(len(b) / len(a & b)) for a in of for b in given if a & b)
