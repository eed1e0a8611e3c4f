"""Colours that tell layers apart: one per layer, largest layer first."""

from __future__ import annotations

import numpy as np

# The first twelve follow Okabe and Ito (2008) and Tol (2021), whose colours stay apart for colour-blind
# readers. The rest were chosen one after the other, each as far as possible from all before it in the Oklab space
# (Ottosson 2020); any two of the forty are at least 0.11 apart there.
_HEX = (
    "e69f00 56b4e9 009e73 cc79a7 f0e442 0072b2 d55e00 332288 aa3377 bbbbbb "
    "117733 661100 8700ff ff00ff 00e100 00ffe1 0000ff 003c00 ffa5ff 9678ff "
    "ff0069 e1f0ff 874b00 3c4b5a 7800a5 87b42d 877878 c300c3 00d2a5 c30000 "
    "69005a 4b5aff ff9696 875ab4 96ff3c 96871e ffc387 e178ff b4a5ff 3c3cc3"
)
PALETTE = np.array([list(bytes.fromhex(color)) for color in _HEX.split()]) / 255
PALETTE.setflags(write=False)


def layer_colors(count: int) -> np.ndarray:
    """(count, 3) sRGB colours in [0, 1]; after the fortieth they repeat.

    Examples
    --------
    >>> layer_colors(2).shape
    (2, 3)
    """
    return np.asarray(PALETTE[np.arange(count) % len(PALETTE)])
