"""The layers as a result: their pictures, their report, and the files they are written to."""

from __future__ import annotations

from softseg.layers.export import check_target, write_arrays
from softseg.layers.palette import layer_colors
from softseg.layers.soft_segments import SoftSegments

__all__ = ["SoftSegments", "check_target", "layer_colors", "write_arrays"]
