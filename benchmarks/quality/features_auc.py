"""How well feature distances tell "same region" from "another region", on photos that people have segmented.

    python -m benchmarks.quality.features_auc BSDS_FOLDER --every 5 --first 2 -o benchmarks/quality/features_auc.json

Area under the ROC curve over 20,000 random pairs of pixels a photo, balanced between the two, mean over photos; the
first annotator of each BSDS 500 .mat file is the truth. The photos 0, 5, 10, ... served to choose the embedded model's
taps.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import loadmat
from scipy.stats import rankdata

from benchmarks.machine import machine
from softseg.features import extract, project


def auc(values: np.ndarray, regions: np.ndarray, pairs: int = 20_000) -> float:
    """Probability that a pair of one region is nearer than a pair of two; ties count half."""
    rng = np.random.default_rng(0)
    one, two = rng.integers(regions.size, size=(2, 20 * pairs))
    same = regions.ravel()[one] == regions.ravel()[two]
    chosen = np.concatenate([np.flatnonzero(same)[: pairs // 2], np.flatnonzero(~same)[: pairs // 2]])
    points = values.reshape(regions.size, -1)
    rank = rankdata(np.linalg.norm(points[one[chosen]] - points[two[chosen]], axis=1))
    positive, negative = int((~same[chosen]).sum()), int(same[chosen].sum())
    return float((rank[~same[chosen]].sum() - positive * (positive + 1) / 2) / (positive * negative))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    scores = []
    for path in sorted(arguments.folder.glob("*.jpg"))[arguments.first :: arguments.every]:
        image = np.asarray(Image.open(path).convert("RGB")) / 255.0
        regions = loadmat(path.with_suffix(".mat"))["groundTruth"][0, 0]["Segmentation"][0, 0].astype(int)
        raw = extract(image, device="cpu")
        scores.append([auc(image, regions), auc(raw, regions), auc(project(raw, image), regions)])
    mean = dict(zip(("colors", "raw", "projected_to_3"), np.mean(scores, axis=0).round(3).tolist(), strict=True))
    result = {"machine": machine(), "photos": len(scores), "mean_auc": mean}
    print(json.dumps(result))
    arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
