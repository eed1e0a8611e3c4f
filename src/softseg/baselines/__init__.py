"""What the layers are compared with: other methods on the same photo."""

from softseg.baselines.feature_clusters import feature_clusters
from softseg.baselines.spectral_matting import spectral_matting

__all__ = ["feature_clusters", "spectral_matting"]
