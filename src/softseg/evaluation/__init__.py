"""Measuring how good the results are, against what people have drawn."""

from __future__ import annotations

from softseg.evaluation.feature_score import evaluate_features, score_features
from softseg.evaluation.machine import machine

__all__ = ["evaluate_features", "machine", "score_features"]
