"""The length of a photo's colour gradient."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch

# Thirteen-tap prefilter and first derivative (Farid and Simoncelli 2004), to four digits as in the released code. The
# derivative's sign does not matter to a length.
_PREFILTER = np.array([0, 7, 71, 374, 1126, 2119, 2605, 2119, 1126, 374, 71, 7, 0]) * 1e-4
_DERIVATIVE = np.array([1, 19, 142, 509, 963, 878, 0, -878, -963, -509, -142, -19, -1]) * 1e-4


def gradient_magnitude(image: np.ndarray) -> np.ndarray:
    """(h, w) float64 length of the colour gradient of (h, w, 3): L2 over channels and directions, borders repeated."""
    from softseg.segments.gradient_kernel import gradient_kernel  # brings the compiler along

    compiled = gradient_kernel()
    planes = np.array(np.moveaxis(image, 2, 0), np.float64, order="C")
    height, threads = len(image), torch.get_num_threads()
    result = np.empty(image.shape[:2])
    edges = np.linspace(0, height, min(height, threads) + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        strips = [pool.submit(compiled, planes, _PREFILTER, _DERIVATIVE, *strip, result) for strip in pairwise(edges)]
        for strip in strips:
            strip.result()
    return result
