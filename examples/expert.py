"""Your own features, your own settings, the exact solver, and several numbers of layers from one decomposition.

The features here are hand-made (blurred Lab colours and the position in the picture), so that nothing but arrays is
needed; an (h, w, D) array from any network goes in the same way. Without meaning in them the layers follow colour and
place: compare with `softseg segment examples/chelsea.jpg`.

Run it from anywhere: `python examples/expert.py`. The layers go to `out/expert/` in the current folder.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.color import rgb2lab
from skimage.filters import gaussian

import softseg

# The exact solver keeps every pixel in the eigenproblem: half the size is a quarter of the work.
photo = Image.open(Path(__file__).parent / "chelsea.jpg").reduce(2)
image = np.asarray(photo) / 255
h, w, _ = image.shape

# Any number of channels of about unit variance: they are filtered along the photo's edges and projected to three.
lab = gaussian(rgb2lab(image), sigma=2, channel_axis=2)
y, x = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
features = np.dstack([lab, 20 * y, 20 * x])
features = (features - features.mean(axis=(0, 1))) / features.std()

# Settings are frozen dataclasses, one per stage: `replace` what should differ, the rest keeps its default.
settings = softseg.Settings.for_solver("exact", seed=1)
settings = replace(
    settings,
    graph=replace(settings.graph, superpixels=1_000, semantic_weight=0.02),  # trust these features twice as much
    spectrum=replace(settings.spectrum, count=60),
    constrained=replace(settings.constrained, sample=10_000),  # fit on 10,000 pixels; None would take all of them
)

decomposition = softseg.decompose(image, features=features, settings=settings)  # the slow part, once
for stage, seconds in decomposition.timings.items():
    print(f"{stage:<28}{seconds:6.1f} s")
print(f"largest residual of an eigenvector: {decomposition.statistics['largest_residual']:.1e}")

for count in (2, 3, 5):  # the fast part, as often as wanted: each number of layers splits one of the layers before
    result = decomposition.layers(count)
    result.save(f"out/expert/{count}-layers", overwrite=True)
    steps = result.statistics["conjugate_gradient_steps"]
    print(f"{count} layers: {', '.join(f'{area:.0%}' for area in result.areas)}; {steps} conjugate gradient steps")
