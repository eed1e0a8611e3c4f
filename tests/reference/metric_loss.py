"""Equation (1) and (2) of the supplement, pair by pair, in float64."""

from __future__ import annotations

import math

import numpy as np


def metric_loss(features: np.ndarray, labels: np.ndarray) -> float:
    """1/|P| times the sum over all ordered pairs; (n, D) features, (n,) labels."""
    n, dimensions = features.shape
    total = 0.0
    for p in range(n):
        for q in range(n):
            d = sum((features[p, k] - features[q, k]) ** 2 for k in range(dimensions)) / dimensions
            total += pair_loss(d, same=bool(labels[p] == labels[q]))
    return total / n


def pair_loss(d: float, *, same: bool) -> float:
    """log((1 + exp d) / 2) or log(1 + exp(-d) / 2), for any d >= 0: exponents are never positive."""
    if same:
        return d + math.log1p(math.exp(-d)) - math.log(2)
    return math.log1p(math.exp(-d) / 2)


def gradient(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n, D) derivatives by the features: each pair adds l'(d) 2 (f_p - f_q) / D at p and subtracts it at q."""
    n, dimensions = features.shape
    result = np.zeros_like(features)
    for p in range(n):
        for q in range(n):
            difference = features[p] - features[q]
            d = difference @ difference / dimensions
            same = labels[p] == labels[q]
            slope = 1 / (1 + math.exp(-d)) if same else -math.exp(-d) / (2 + math.exp(-d))
            result[p] += slope * 2 * difference / dimensions / n
            result[q] -= slope * 2 * difference / dimensions / n
    return result
