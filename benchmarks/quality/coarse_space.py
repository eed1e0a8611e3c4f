"""What a coarse space keeps of the exact eigenvectors, and what that does to the final layers.

    python -m benchmarks.quality.coarse_space PHOTO --side 320 -o benchmarks/quality/coarse_space.json

"captured": sum over the 100 exact eigenvectors of their squared projection onto the coarse ones. "projected": onto the
whole coarse space. "difference": mean absolute, of 5 final layers, to exact eigenvectors with every pixel in the fit;
soft segments go to the exact layer with which they share most. `hats` is what softseg uses, `blocks`
jump at their borders.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from PIL import Image
from scipy.sparse.linalg import lsqr

from benchmarks.machine import machine
from benchmarks.quality.fast_vs_exact import LAYERS, transfer
from softseg.features import extract, project
from softseg.graph import color_affinity, laplacian, matting_affinity, semantic_affinity, superpixels
from softseg.segments import group, initial_clusters, relaxed_sparsification
from softseg.segments.constrained import fit_segments
from softseg.settings import ConstrainedSettings, RelaxedSettings
from softseg.spectrum.coarse import galerkin_eigenpairs
from softseg.spectrum.coarse_space import coarse_space
from softseg.spectrum.eigenbasis import Eigenbasis
from softseg.spectrum.exact import solve_exactly


def blocks(image: np.ndarray, side: int) -> sp.csr_array:
    """Orthonormal {1, r, g, b} on each square of side x side pixels, nothing across borders."""
    h, w, _ = image.shape
    y, x = np.divmod(np.arange(h * w), w)
    block = (y // side) * -(-w // side) + x // side
    functions = np.column_stack([np.ones(h * w), image.reshape(-1, 3)])
    rows, columns, values, used = [], [], [], 0
    for pixels in np.split(np.argsort(block, kind="stable"), np.cumsum(np.bincount(block))[:-1]):
        q, s, _ = np.linalg.svd(functions[pixels], full_matrices=False)
        kept = q[:, s > 1e-3 * s[0]]
        rows.append(np.repeat(pixels, kept.shape[1]))
        columns.append(np.tile(np.arange(used, used + kept.shape[1]), len(pixels)))
        values.append(kept.ravel())
        used += kept.shape[1]
    triplets = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sp.csr_array(sp.coo_array(triplets, shape=(h * w, used)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    photo = Image.open(arguments.photo).convert("RGB").resize((arguments.side,) * 2, Image.Resampling.LANCZOS)
    image = np.asarray(photo) / 255.0
    features = project(extract(image), image)
    labels = superpixels(image)
    graph = laplacian(matting_affinity(image), semantic_affinity(features, labels), color_affinity(image, labels))
    start = initial_clusters(features)
    pairs = solve_exactly(graph, 100)
    exact = Eigenbasis(pairs.values, pairs.vectors, None, {})

    def layers(basis: Eigenbasis, sample: int | None, like: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        segments = fit_segments(basis, start, replace(ConstrainedSettings(), sample=sample))
        grouped = group(segments, features, LAYERS)[0] if like is None else transfer(segments, like)
        return grouped, relaxed_sparsification(grouped, graph, image, RelaxedSettings())

    grouped, reference = layers(exact, None, None)
    rows: list[dict[str, Any]] = []

    def report(space: str, unknowns: int, basis: Eigenbasis, projected: float | None) -> None:
        vectors = basis.expand(np.eye(len(basis.values)))
        difference = {
            str(sample): round(float(np.abs(layers(basis, sample, grouped)[1] - reference).mean()), 5)
            for sample in (5_000, 20_000)
        }
        rows.append(
            {
                "space": space,
                "unknowns": unknowns,
                "captured": round(float((vectors.T @ pairs.vectors).ravel() @ (vectors.T @ pairs.vectors).ravel()), 1),
                "projected": projected,
                "difference_by_sample": difference,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
        result = {"machine": machine(), "photo": arguments.photo.name, "side": arguments.side, "rows": rows}
        arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")

    report("exact", image.shape[0] * image.shape[1], exact, None)
    spaces = [("hats", coarse_space(image, unknowns)) for unknowns in (1_600, 3_000, 4_500, 6_400)]
    spaces += [("blocks", blocks(image, side)) for side in (16, 8)]
    for name, prolongation in spaces:
        values, coefficients = galerkin_eigenpairs(graph, prolongation, 100)
        fits = [np.linalg.norm(prolongation @ lsqr(prolongation, v, 1e-4)[0]) ** 2 for v in pairs.vectors.T]
        basis = Eigenbasis(values, coefficients, prolongation, {})
        report(name, prolongation.shape[1], basis, round(float(sum(fits)), 1))


if __name__ == "__main__":
    main()
