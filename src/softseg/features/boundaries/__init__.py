"""Where people see boundaries: a small network that ships with the package."""

from softseg.features.boundaries.network import BoundaryNetwork
from softseg.features.boundaries.weights import DIGEST, boundary_map

__all__ = ["DIGEST", "BoundaryNetwork", "boundary_map"]
