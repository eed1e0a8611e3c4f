"""The graph: matting, semantic and colour affinities, and their Laplacian (method, Sec. 3)."""

from softseg.graph.color import color_affinity
from softseg.graph.laplacian import laplacian
from softseg.graph.matting import matting_affinity
from softseg.graph.semantic import semantic_affinity
from softseg.graph.superpixels import superpixels

__all__ = ["color_affinity", "laplacian", "matting_affinity", "semantic_affinity", "superpixels"]
