"""Where people see boundaries: a small network that ships with the package."""

from softseg.features.boundaries.network import BoundaryNetwork
from softseg.features.boundaries.weights import boundary_map

__all__ = ["BoundaryNetwork", "boundary_map"]
