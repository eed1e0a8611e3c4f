"""The Laplacian's eigenvectors: exactly, and fast from a coarse space (method, Sec. 4)."""

from softseg.spectrum.eigenbasis import Eigenbasis, eigenbasis
from softseg.spectrum.exact import smallest_eigenpairs

__all__ = ["Eigenbasis", "eigenbasis", "smallest_eigenpairs"]
