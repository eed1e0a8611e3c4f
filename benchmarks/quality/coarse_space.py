"""What a coarse space and the refinement after it keep of the exact eigenvectors, and what that does to the layers.

    python -m benchmarks.quality.coarse_space PHOTO --pixels 100000 -o benchmarks/quality/coarse_space.json

"captured": sum over the 100 exact eigenvectors of their squared projection onto the approximate ones. "projected": onto
the whole coarse space. "energy": sum of the approximate eigenvalues over that of the exact ones. "difference": mean
absolute, of 5 final layers, to exact eigenvectors with every pixel in the fit; soft segments go to the exact layer with
which they share most. `hats` is what softseg uses, `blocks` jump at their borders, `refined` are hats whose
eigenvectors are smoothed at every pixel, the lowest of more candidates than wanted; `by rough energies` are those whose
candidates are the lowest of the hats as they are, not of the smoothed ones.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.machine import machine
from benchmarks.quality.fast_vs_exact import LAYERS, reduced, transfer
from softseg.features import boundary_map, extract, project
from softseg.graph import color_affinity, laplacian, matting_affinity, semantic_affinity, superpixels
from softseg.segments import initial_regions, relaxed_sparsification
from softseg.segments.constrained import fit_segments
from softseg.segments.grouping import add_up, segment_tree
from softseg.settings import RelaxedSettings, Settings, Solver, SpectrumSettings
from softseg.spectrum import Eigenbasis, eigenbasis
from softseg.spectrum.coarse import galerkin_eigenpairs
from softseg.spectrum.coarse_space import coarse_space
from softseg.spectrum.exact import solve_exactly
from softseg.spectrum.refinement import refine
from softseg.spectrum.smoothing import Smoother

UNKNOWNS = (1_500, 3_000, 6_000)  # of hats
BLOCKS = (16, 8)  # sides
REFINED = ((128, 4), (128, 12), (128, 24), (192, 24))  # candidates and smoothing steps
BY_ROUGH_ENERGIES = ((128, 12), (192, 24))


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


def projected(prolongation: sp.csr_array, vectors: np.ndarray) -> float:
    """Sum of the squared projections of orthonormal vectors onto the span of the columns of P."""
    inner = prolongation.T @ vectors
    mass = (prolongation.T @ prolongation).toarray() + 1e-9 * np.eye(prolongation.shape[1])
    return float((inner * np.linalg.solve(mass, inner)).sum())


def hats(image: np.ndarray, unknowns: int) -> sp.csr_array:
    """What softseg uses."""
    return coarse_space(image, unknowns).functions


def refined_by_rough_energies(graph: sp.csr_array, image: np.ndarray, candidates: int, steps: int) -> Eigenbasis:
    """As `eigenbasis`, but for the choice of the candidates."""
    prolongation = hats(image, SpectrumSettings().coarse_unknowns)
    _, coefficients = galerkin_eigenpairs(graph, prolongation, candidates)
    smoother = Smoother.of(graph, image.shape[1], steps)
    return Eigenbasis(*refine(smoother, prolongation, coefficients, 100), None, {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--pixels", type=int, default=100_000)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    photo = reduced(arguments.photo, arguments.pixels)
    image = np.asarray(photo) / 255.0
    features = project(extract(image), image)
    labels = superpixels(image)
    graph = laplacian(matting_affinity(image), semantic_affinity(features, labels), color_affinity(image, labels))
    boundaries = boundary_map(image)
    regions = Settings.for_solver("fast").constrained.clusters
    start = initial_regions(labels, features, image, regions, boundaries=boundaries)
    pairs = solve_exactly(graph, 100)
    exact = Eigenbasis(pairs.values, pairs.vectors, None, {})

    def layers(basis: Eigenbasis, solver: Solver, like: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        settings = Settings.for_solver(solver).constrained
        segments = fit_segments(basis, start, settings, superpixels=labels)
        if like is None:
            like = add_up(segments, segment_tree(segments, features, image, boundaries=boundaries).cut(LAYERS))[0]
        grouped = transfer(segments, like)
        return grouped, relaxed_sparsification(grouped, graph, image, RelaxedSettings())

    grouped, reference = layers(exact, "exact", None)
    rows: list[dict[str, Any]] = []

    def report(space: str, basis: Eigenbasis, start: float, **details: Any) -> None:
        seconds = time.process_time() - start
        vectors = basis.expand(np.eye(len(basis.values)))
        difference = np.abs(layers(basis, "fast", grouped)[1] - reference).mean()
        row = {
            "space": space,
            **details,
            "processor_seconds": round(seconds, 1),
            "captured": round(float(((vectors.T @ pairs.vectors) ** 2).sum()), 1),
            "energy": round(float(basis.values.sum() / pairs.values.sum()), 2),
            "difference": round(float(difference), 5),
        }
        rows.append(row)
        print(json.dumps(row), flush=True)
        result = {"machine": machine(), "photo": arguments.photo.name, "size": list(photo.size), "rows": rows}
        arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")

    report("exact", exact, time.process_time())
    for name, sizes, build in (("hats", UNKNOWNS, hats), ("blocks", BLOCKS, blocks)):
        for size in sizes:
            begun = time.process_time()
            prolongation = build(image, size)
            values, coefficients = galerkin_eigenpairs(graph, prolongation, 100)
            details = {"unknowns": prolongation.shape[1], "projected": round(projected(prolongation, pairs.vectors), 1)}
            report(name, Eigenbasis(values, coefficients, prolongation, {}), begun, **details)
    for candidates, steps in REFINED:
        begun = time.process_time()
        settings = SpectrumSettings(candidates=candidates, smoothing_steps=steps)
        report("refined", eigenbasis(graph, image, settings), begun, candidates=candidates, steps=steps)
    for candidates, steps in BY_ROUGH_ENERGIES:
        begun = time.process_time()
        basis = refined_by_rough_energies(graph, image, candidates, steps)
        report("by rough energies", basis, begun, candidates=candidates, steps=steps)


if __name__ == "__main__":
    main()
