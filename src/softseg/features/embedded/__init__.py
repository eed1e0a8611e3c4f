"""The feature model that ships with the package."""

from softseg.features.embedded.network import EmbeddedNetwork

__all__ = ["EmbeddedNetwork"]
