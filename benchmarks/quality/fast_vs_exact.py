"""How far the fast route's layers are from the exact route's, on real photos, and which of them is nearer to the truth.

    python -m benchmarks.quality.fast_vs_exact PHOTO... --pixels 50000 --kept build/exact --jobs 2 \
        -o benchmarks/quality/fast_vs_exact.json

Photos are reduced to `--pixels`, because the exact route takes minutes there and hours at full size. Both routes get
the same features, superpixels, seed and number of layers.

- "as they come": each route groups its own soft segments; its five layers are matched by overlap.
- "same grouping": every soft segment of the fast route goes to the exact layer with which it overlaps most, so that
  only eigenvectors, sparsification and sampling differ.
- "covering", of a photo with the regions of people beside it (NAME.mat, as in BSDS500): of each route's own layers, at
  2 to 20 of them.
- "alpha", of a photo with a true alpha beside it (alpha.png, as in alphamatting): mean squared error of the best union
  of each route's own 12 layers.

With `--kept`, the soft segments of the exact route stay in that folder, for the next comparison. They are taken up by
photo, size, features and settings; whoever changes the exact route itself must empty the folder.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment

from benchmarks.machine import machine
from benchmarks.quality.covering_ablation import of_parts, summary
from softseg.errors import SoftsegError
from softseg.evaluation.union import best_union
from softseg.features import BOUNDARIES_DIGEST, model_digest
from softseg.files import write_atomically
from softseg.images import load_photo
from softseg.pipeline import Decomposition, decompose
from softseg.segments import relaxed_sparsification
from softseg.settings import Settings
from softseg.training.datasets import Bsds

LAYERS = 5
EXPLAINING = 12  # layers of which the best union is to explain a true alpha


def main() -> None:
    """Compare photo by photo, and write after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--pixels", type=int, default=50_000, help="at most a million, above which both routes differ")
    parser.add_argument("--kept", type=Path, help="folder for the exact route's soft segments")
    parser.add_argument("--jobs", type=int, default=1, help="photos at a time; set OMP_NUM_THREADS to go with it")
    arguments = parser.parse_args()
    if not 256 <= arguments.pixels <= 1_000_000:
        parser.error(f"--pixels is {arguments.pixels}; choose 256 to 1,000,000")
    for photo in arguments.photos:  # each takes minutes: better to know now
        try:
            load_photo(photo)
        except SoftsegError as error:
            parser.error(str(error))
    rows: list[dict[str, Any]] = []
    work = partial(compare, pixels=arguments.pixels, kept=arguments.kept)
    with ProcessPoolExecutor(arguments.jobs, get_context("spawn")) as pool:
        for row in pool.map(work, arguments.photos):
            rows.append(row)
            print(f"{len(rows)}/{len(arguments.photos)} {line(row)}", file=sys.stderr, flush=True)
            contents = {"machine": machine(), "pixels": arguments.pixels, "summary": summarized(rows), "rows": rows}
            text = json.dumps(contents, indent=1) + "\n"
            write_atomically(arguments.output, lambda file, text=text: file.write(text.encode()))
    print("\n".join(table(rows)))
    print(json.dumps(summarized(rows), indent=1))


def compare(path: Path, pixels: int, kept: Path | None) -> dict[str, Any]:
    """Differences of the final alphas of one reduced photo, and how near each route is to the truth."""
    image = reduced(path, pixels)
    segments = exact_segments(image, kept)
    start = time.perf_counter()
    fast = decompose(image, features=segments.features, settings=Settings.for_solver("fast"))
    seconds = time.perf_counter() - start
    exact = replace(fast, segments=segments.segments, settings=Settings.for_solver("exact"))
    grouped = exact.grouped(LAYERS)
    reference, own = relax(exact, grouped), relax(fast, fast.grouped(LAYERS))
    difference = np.abs(relax(fast, transfer(fast.segments, grouped)) - reference).mean(axis=(1, 2))
    return {
        "photo": path.parent.name if path.stem == "image" else path.stem,
        "size": list(image.size),
        "seconds": {"exact_with_features": round(segments.seconds, 1), "fast_features_given": round(seconds, 1)},
        "same_grouping": round(float(difference.mean()), 5),
        "same_grouping_per_layer": difference.round(5).tolist(),
        "as_they_come": round(matched_difference(own, reference), 5),
        **against_truth(path, image.size, {"exact": exact, "fast": fast}),
    }


@dataclass(frozen=True)
class ExactSegments:
    """What takes long."""

    features: np.ndarray  # (h, w, 3)
    segments: np.ndarray  # (m, N) soft segments of the exact route
    seconds: float  # of `decompose`


def exact_segments(image: Image.Image, kept: Path | None) -> ExactSegments:
    """The exact route's soft segments, kept from an earlier run where there was one."""
    settings = Settings.for_solver("exact")
    before = {key: value for key, value in settings.as_dict().items() if key not in ("grouping", "relaxed")}
    before |= {"boundaries": settings.grouping.boundary_exponent != 0 and BOUNDARIES_DIGEST}
    decisive = json.dumps([image.size, before, model_digest("embedded")], sort_keys=True).encode()
    file = kept and kept / f"{sha256(image.tobytes() + decisive).hexdigest()[:24]}.npz"
    if file and file.is_file():
        with np.load(file) as found:
            return ExactSegments(found["features"], found["segments"], float(found["seconds"]))
    start = time.perf_counter()
    parts = decompose(image, settings=settings)
    made = ExactSegments(parts.features, parts.segments, time.perf_counter() - start)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        buffer = BytesIO()
        np.savez_compressed(buffer, features=made.features, segments=made.segments, seconds=made.seconds)
        write_atomically(file, lambda stream: stream.write(buffer.getvalue()))
    return made


def against_truth(path: Path, size: tuple[int, int], routes: dict[str, Decomposition]) -> dict[str, Any]:
    """Covering and alpha error of both routes, for photos that have a truth beside them."""
    found: dict[str, Any] = {}
    if path.with_suffix(".mat").is_file():
        photos = Bsds(path.parent)
        people = photos.annotations(photos.names.index(path.stem))
        smaller = [
            np.asarray(Image.fromarray(p.astype(np.int32)).resize(size, Image.Resampling.NEAREST)) for p in people
        ]
        found["covering"] = {name: of_parts(parts, smaller) for name, parts in routes.items()}
    if (path.parent / "alpha.png").is_file():
        with Image.open(path.parent / "alpha.png") as file:
            truth = np.asarray(file.convert("L").resize(size, Image.Resampling.LANCZOS)) / 255
        found["alpha"] = {}
        for name, parts in routes.items():
            union = best_union(parts.layers(min(EXPLAINING, len(parts.segments))).alphas, truth)[1]
            found["alpha"][name] = float(((union - truth) ** 2).mean())
    return found


def reduced(path: Path, pixels: int) -> Image.Image:
    """The photo with about so many pixels, or its own fewer."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    scale = min(1.0, (pixels / (image.width * image.height)) ** 0.5)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def relax(decomposition: Decomposition, layers: np.ndarray) -> np.ndarray:
    """(K, h, w) final alphas of (K, N) layers."""
    return relaxed_sparsification(
        layers, decomposition.laplacian, decomposition.photo.pixels, decomposition.settings.relaxed
    )


def transfer(segments: np.ndarray, layers: np.ndarray) -> np.ndarray:
    """(K, N): each segment added to the layer with which it shares most."""
    best = (np.clip(segments, 0, 1) @ np.clip(layers, 0, 1).T).argmax(axis=1)
    return (best == np.arange(len(layers))[:, None]).astype(np.float64) @ segments


def matched_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Mean absolute difference over layers, matched to be smallest."""
    distance = np.array([[np.abs(a - b).mean() for b in theirs] for a in ours])
    i, j = linear_sum_assignment(distance)
    return float(distance[i, j].mean())


def summarized(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the photos; covering at the one best number of layers (ODS) and at each photo's best (OIS)."""
    same, own = ([row[key] for row in rows] for key in ("same_grouping", "as_they_come"))
    found: dict[str, Any] = {
        "photos": len(rows),
        "same_grouping": {"mean": float(np.mean(same)), "largest": max(same)},
        "as_they_come": {"mean": float(np.mean(own)), "largest": max(own)},
    }
    drawn, matted = ([row[key] for row in rows if key in row] for key in ("covering", "alpha"))
    if drawn:
        found["covering"] = {route: summary([row[route] for row in drawn]) for route in drawn[0]}
    if matted:
        means = {route: float(np.mean([row[route] for row in matted])) for route in matted[0]}
        found["alpha"] = means | {"photos": len(matted)}
    return found


def line(row: dict[str, Any]) -> str:
    """One photo in short."""
    return f"{row['photo']}: same grouping {row['same_grouping']:.4f}, as they come {row['as_they_come']:.4f}"


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """As Markdown, for docs/method.md."""
    yield "| photo | size | same grouping | each route its own grouping |"
    yield "|---|---|---|---|"
    for row in rows:
        width, height = row["size"]
        yield f"| {row['photo']} | {width} x {height} | {row['same_grouping']:.4f} | {row['as_they_come']:.4f} |"


if __name__ == "__main__":
    main()
