"""Small labelled photos in the layouts of the real data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

HEIGHT, WIDTH = 40, 120


def halves(at: int = WIDTH // 2) -> np.ndarray:
    """(h, w) labels 1 and 2, left and right of column `at`."""
    return np.where(np.arange(WIDTH) < at, 1, 2)[None, :].repeat(HEIGHT, axis=0).astype(np.uint16)


def photo(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """(h, w, 3) uint8 in which void and two regions have their colours, with some noise."""
    rng = np.random.default_rng(seed)
    colors = np.array([[30, 30, 30], [200, 90, 60], [60, 120, 210]])
    return np.clip(colors[labels] + rng.normal(scale=20, size=(*labels.shape, 3)), 0, 255).astype(np.uint8)


def write_bsds(folder: Path, name: str, *annotations: np.ndarray) -> None:
    """NAME.jpg, and NAME.mat with a cell for each annotator."""
    folder.mkdir(exist_ok=True)
    Image.fromarray(photo(annotations[0])).save(folder / f"{name}.jpg", quality=95)
    cells = np.empty((1, len(annotations)), dtype=object)
    for a, labels in enumerate(annotations):
        cells[0, a] = {"Segmentation": labels, "Boundaries": np.zeros_like(labels)}
    savemat(folder / f"{name}.mat", {"groundTruth": cells})


def write_msrc(folder: Path, name: str, labels: np.ndarray) -> None:
    """NAME/image.png and NAME/labels.png, 0 is void."""
    (folder / name).mkdir(parents=True)
    Image.fromarray(photo(labels)).save(folder / name / "image.png")
    Image.fromarray(labels.astype(np.uint8)).save(folder / name / "labels.png")
