"""From eigenvectors to layers: constrained sparsification, grouping, relaxed sparsification (method, Sec. 5 to 7)."""

from softseg.segments.clusters import initial_clusters
from softseg.segments.constrained import constrained_sparsification
from softseg.segments.grouping import group, segment_tree
from softseg.segments.regions import initial_regions
from softseg.segments.relaxed import relaxed_sparsification

__all__ = [
    "constrained_sparsification",
    "group",
    "initial_clusters",
    "initial_regions",
    "relaxed_sparsification",
    "segment_tree",
]
