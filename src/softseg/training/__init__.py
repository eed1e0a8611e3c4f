"""Training of the feature networks: the loss, the sampling, data sets, recipes and the loop (supplement, Sec. 1)."""

from softseg.training.loss import metric_loss
from softseg.training.sampling import sample_pixels
from softseg.training.score import pair_auc

__all__ = ["metric_loss", "pair_auc", "sample_pixels"]
