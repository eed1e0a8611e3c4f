"""The method stage by stage, with the public functions, ending in the same layers as `softseg.segment`.

Every array between two stages is plain NumPy or SciPy: print it, plot it, or put your own in its place.
Run it from anywhere: `python examples/advanced.py`. The pictures go to `out/advanced/` in the current folder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import softseg
from softseg.features import boundary_map, extract, project
from softseg.graph import color_affinity, laplacian, matting_affinity, semantic_affinity, superpixels
from softseg.images import load_photo
from softseg.segments import group, initial_regions, relaxed_sparsification
from softseg.segments.constrained import fit_segments
from softseg.spectrum import eigenbasis

settings = softseg.Settings.for_solver("fast", seed=0)
photo = load_photo(Path(__file__).parent / "coffee.jpg")
image = photo.pixels  # (h, w, 3) in [0, 1]

# 1. What every pixel means: 64 channels of a network, three after filtering and principal components.
raw = extract(image, device=settings.device)
features = project(raw, image, settings=settings.features, device=settings.device)
print(f"features        {raw.shape} -> {features.shape}")

# 2. The graph: pixels that belong together attract each other, by local colour, meaning, and colour further away.
labels = superpixels(image, settings.graph.superpixels)
graph = laplacian(matting_affinity(image), semantic_affinity(features, labels), color_affinity(image, labels))
print(f"Laplacian       {graph.shape[0]:,} pixels, {graph.nnz:,} entries, {labels.max() + 1} superpixels")

# 3. Its smoothest vectors. `softseg.spectrum.smallest_eigenpairs` would find them without approximation.
basis = eigenbasis(graph, image, settings.spectrum)
print(f"eigenvectors    {len(basis.values)}, eigenvalues {basis.values[0]:.1e} to {basis.values[-1]:.1e}")

# 4. Combinations of them that are nearly 0 or 1 everywhere, near to regions that people would tell apart.
boundaries = boundary_map(image)  # where people would draw a line
start = initial_regions(labels, features, image, settings.constrained.clusters, boundaries=boundaries)
segments = fit_segments(basis, start, settings.constrained, seed=settings.seed, superpixels=labels)
print(f"soft segments   {len(segments)}")

# 5. Segments that mean the same are added up, and the layers are sharpened pixel by pixel.
grouped, cluster = group(segments, features, layers=5, image=image, boundaries=boundaries, settings=settings.grouping)
alphas = relaxed_sparsification(grouped, graph, image, settings.relaxed)
alphas = alphas[np.argsort(-alphas.mean(axis=(1, 2), dtype=np.float64), kind="stable")]
print(f"layers          {alphas.shape}, made of {np.bincount(cluster)} segments")

# All of the above in one call.
same = softseg.segment(photo, 5, settings=settings)
print(f"differ from softseg.segment() by at most {abs(same.alphas - alphas).max():.1e}")

out = Path("out/advanced")
out.mkdir(parents=True, exist_ok=True)
Image.fromarray(np.rint(features * 255).astype(np.uint8)).save(out / "features.png")
same.save(out, overwrite=True)
print(f"written to {out}")
