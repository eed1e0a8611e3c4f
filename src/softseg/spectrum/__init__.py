"""The Laplacian's eigenvectors: exactly, or fast from a coarse space and refined (docs/method.md, 10)."""

from softseg.spectrum.eigenbasis import Basis, Eigenbasis, eigenbasis
from softseg.spectrum.exact import smallest_eigenpairs

__all__ = ["Basis", "Eigenbasis", "eigenbasis", "smallest_eigenpairs"]
