"""Semantic features: a vector for every pixel, near within a region and far between regions."""

from __future__ import annotations

from softseg.features.boundaries import DIGEST as BOUNDARIES_DIGEST
from softseg.features.boundaries import boundary_map
from softseg.features.figure import draw_figure
from softseg.features.files import load_features
from softseg.features.guided_filter import guided_filter
from softseg.features.projection import project
from softseg.features.registry import available_models, extract, is_model, model_digest

__all__ = [
    "BOUNDARIES_DIGEST",
    "available_models",
    "boundary_map",
    "draw_figure",
    "extract",
    "guided_filter",
    "is_model",
    "load_features",
    "model_digest",
    "project",
]
