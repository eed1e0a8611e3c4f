"""Measuring how good the results are, against what people have drawn."""

from __future__ import annotations

from softseg.evaluation.alpha_score import evaluate_alpha
from softseg.evaluation.boundary_score import evaluate_boundaries
from softseg.evaluation.feature_score import evaluate_features, score_features
from softseg.evaluation.machine import machine
from softseg.evaluation.region_score import evaluate_regions
from softseg.evaluation.synthetic_score import evaluate_synthetic
from softseg.evaluation.union import best_union

__all__ = [
    "best_union",
    "evaluate_alpha",
    "evaluate_boundaries",
    "evaluate_features",
    "evaluate_regions",
    "evaluate_synthetic",
    "machine",
    "score_features",
]
