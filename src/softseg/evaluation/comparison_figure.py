"""The figure: photos as rows, methods as columns, every segmentation in colours over the grey photo."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from softseg.baselines.label_map import LabelMap
from softseg.errors import InputError
from softseg.evaluation.comparison import TITLES, Comparison
from softseg.evaluation.matched_colors import matched_colors
from softseg.features.repositories import require
from softseg.files import write_atomically

INPUT = "Input"
PURPOSE = "drawing the comparison"
_STRENGTH = 0.6  # of the colours over the grey photo
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_LONGEST = 1024  # pixels of a panel's longer side: larger ones are reduced
_SHORTEST = 256  # smaller ones are enlarged, by a whole number
_DPI = 100
_GAP = 6  # pixels between panels


@dataclass(frozen=True)
class Crop:
    """A part of a photo, in its pixels: the left upper corner, and its size."""

    x: int
    y: int
    w: int
    h: int

    def check(self, name: str, shape: tuple[int, ...]) -> None:
        """InputError unless this is a part of the photo `name`, of `shape` (h, w, ...)."""
        if (
            min(self.x, self.y) < 0
            or min(self.w, self.h) < 1
            or self.x + self.w > shape[1]
            or self.y + self.h > shape[0]
        ):
            raise InputError(
                f"the crop {self} is not inside {name}, which has {shape[1]} x {shape[0]} pixels; choose x,y,w,h with "
                f"x + w at most {shape[1]} and y + h at most {shape[0]}"
            )

    def of(self, panel: np.ndarray) -> np.ndarray:
        """The part of an (h, w, 3) panel."""
        return panel[self.y : self.y + self.h, self.x : self.x + self.w]

    def __str__(self) -> str:
        """As it is written on the command line."""
        return f"{self.x},{self.y},{self.w},{self.h}"


@dataclass(frozen=True, eq=False)
class _Row:
    label: str
    panels: Mapping[str, np.ndarray]  # title to (y, x, 3) uint8, all of one size, as they are drawn
    frames: tuple[tuple[float, float, float, float], ...] = ()  # crops: left, top, width and height in these pixels


def draw_comparison(
    comparisons: Sequence[Comparison], crops: Sequence[Crop] = (), left_out: Mapping[str, str] | None = None
) -> Any:
    """Draw photos as rows and methods as columns, as Figures 3 to 5 of the paper do.

    Parameters
    ----------
    comparisons : one for each photo; a method that one of them lacks leaves a gap.
    crops : parts that are shown as rows of their own below each photo, where their frames are drawn.
    left_out : column to reason; its title is named at the foot.

    Returns
    -------
    A figure of matplotlib, for `save_figure`. Panels are drawn without interpolation: one pixel of the photo is
    n x n pixels, or, where a side is longer than 1024, the panel is reduced and its row says so.

    Raises
    ------
    InputError : nothing to draw, or a crop is not inside one of the photos.
    ModelError : matplotlib is missing.
    """
    require("matplotlib", PURPOSE, "baselines")
    if not comparisons:
        raise InputError("there is nothing to draw: no photo was compared")
    rows = [row for comparison in comparisons for row in _rows(comparison, crops)]
    columns = [title for title in (INPUT, *TITLES.values()) if any(title in row.panels for row in rows)]
    with _style():
        return _page(rows, columns, left_out or {})


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as .png or .pdf, by the ending; the same figure gives the same bytes.

    A .pdf has its text and frames as vectors, and the pixels of its panels without loss.

    Raises
    ------
    OutputError : it cannot be written.
    """
    kind = path.suffix.lower()[1:]
    facts = {"Software": None} if kind == "png" else {"CreationDate": None, "Creator": "softseg", "Producer": None}
    with _style():
        write_atomically(path, lambda file: figure.savefig(file, format=kind, dpi=_DPI, metadata=facts))


def tint(image: np.ndarray, segmentation: LabelMap | np.ndarray, colors: np.ndarray) -> np.ndarray:
    """(h, w, 3) in [0, 1]: the grey photo, tinted by ``sum_k alpha_k color_k``; grey where nothing is.

    Examples
    --------
    >>> gray = np.full((1, 2, 3), 0.5)
    >>> tint(gray, np.array([[[1.0, 0.0]]]), np.array([[1.0, 0, 0]])).round(2).tolist()
    [[[0.8, 0.2, 0.2], [0.5, 0.5, 0.5]]]
    """
    gray = (image @ np.array(_LUMA))[:, :, None]
    if isinstance(segmentation, LabelMap):
        color = colors[segmentation.labels]
        cover = np.ones_like(gray) if segmentation.nothing is None else (segmentation.labels != segmentation.nothing)
        cover = cover.reshape(gray.shape)
        color = color * cover
    else:
        alphas = np.clip(segmentation, 0, 1)
        alphas = alphas / np.maximum(alphas.sum(0), 1)
        color, cover = np.einsum("khw,kc->hwc", alphas, colors), alphas.sum(0)[:, :, None]
    return np.asarray(gray * (1 - _STRENGTH * cover) + _STRENGTH * color)


def _rows(comparison: Comparison, crops: Sequence[Crop]) -> Iterator[_Row]:
    """The photo, then its crops."""
    for crop in crops:
        crop.check(comparison.name, comparison.image.shape)
    colors = matched_colors(list(comparison.segmentations.values()))
    drawn = {INPUT: _bytes(comparison.image)}
    for (name, segmentation), own in zip(comparison.segmentations.items(), colors, strict=True):
        drawn[TITLES[name]] = _bytes(tint(comparison.image, segmentation, own))
    scale, note = _scale(comparison.image.shape)
    frames = tuple((crop.x * scale, crop.y * scale, crop.w * scale, crop.h * scale) for crop in crops)
    whole = _Row(comparison.name + note, {title: _scaled(panel, scale) for title, panel in drawn.items()}, frames)
    yield whole
    width = whole.panels[INPUT].shape[1]
    for crop in crops:
        scale, note = _scale((crop.h, crop.w), width)
        parts = {title: _scaled(crop.of(panel), scale) for title, panel in drawn.items()}
        yield _Row(f"{crop}{note}", parts)


def _bytes(panel: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(panel * 255).clip(0, 255).astype(np.uint8))


def _scale(shape: tuple[int, ...], width: int = 0) -> tuple[float, str]:
    """By how much a panel is enlarged, up to `width` at least, or reduced; and how that is said."""
    longest, shortest = max(shape[:2]), min(shape[:2])
    if longest > _LONGEST:
        return _LONGEST / longest, f" ({100 * _LONGEST / longest:.0f} %)"
    times = max(1, min(_LONGEST // longest, max(-(-_SHORTEST // shortest), width // shape[1])))
    return float(times), f" ({times}x)" if times > 1 else ""


def _scaled(panel: np.ndarray, scale: float) -> np.ndarray:
    from PIL import Image

    if scale >= 1:
        return panel.repeat(int(scale), axis=0).repeat(int(scale), axis=1)
    size = max(1, round(panel.shape[1] * scale)), max(1, round(panel.shape[0] * scale))
    return np.asarray(Image.fromarray(panel).resize(size, Image.Resampling.BOX))


@contextmanager
def _style() -> Iterator[None]:
    """matplotlib as it comes, whatever the user has set: its own font, and text in a PDF as text."""
    from matplotlib import style

    with style.context(["default", {"font.family": "DejaVu Sans", "pdf.fonttype": 42}]):
        yield


def _page(rows: Sequence[_Row], columns: Sequence[str], left_out: Mapping[str, str]) -> Any:
    """The whole figure, laid out in whole pixels, so that the pixels of the panels stay as they are."""
    from matplotlib.figure import Figure

    heights = [next(iter(row.panels.values())).shape[0] for row in rows]
    width = max(panel.shape[1] for row in rows for panel in row.panels.values())
    letters = min(32, max(13, width // 18))  # pixels
    margin = 2 * letters
    foot = f"left out: {', '.join(TITLES[name] for name in left_out)}" if left_out else ""
    total_w = margin + len(columns) * (width + _GAP)
    total_h = margin + sum(heights) + _GAP * len(rows) + (margin if foot else 0)
    figure = Figure(figsize=(total_w / _DPI, total_h / _DPI), dpi=_DPI)
    font = {"fontsize": 72 * letters / _DPI}

    def write(x: float, y: float, text: str, **options: Any) -> None:
        figure.text(x / total_w, 1 - y / total_h, text, va="center", **{**font, **options})

    for k, title in enumerate(columns):
        write(margin + k * (width + _GAP) + width / 2, margin / 2, title, ha="center")
    top = margin
    for row, height in zip(rows, heights, strict=True):
        label = _shortened(row.label, height / (0.5 * letters))
        write(margin / 2, top + height / 2, label, ha="center", rotation=90, fontsize=0.8 * font["fontsize"])
        for k, title in enumerate(columns):
            if title in row.panels:
                panel = row.panels[title]
                left = margin + k * (width + _GAP) + (width - panel.shape[1]) // 2
                _place(figure, panel, (left, top), (total_w, total_h), row.frames)
        top += height + _GAP
    if foot:
        write(margin, total_h - margin / 2, foot, ha="left")
    return figure


def _shortened(label: str, most: float) -> str:
    """At most so many letters, the middle left out."""
    keep = max(1, int(most) // 2 - 1)
    return label if len(label) <= most else f"{label[:keep]}…{label[-keep:]}"


def _place(
    figure: Any,
    panel: np.ndarray,
    corner: tuple[int, int],
    page: tuple[int, int],
    frames: Sequence[tuple[float, float, float, float]],
) -> None:
    """Draw one panel, its left upper corner at `corner`, and the frames of the crops on it."""
    from matplotlib.patches import Rectangle

    height, width = panel.shape[:2]
    box = (corner[0] / page[0], 1 - (corner[1] + height) / page[1], width / page[0], height / page[1])
    axes = figure.add_axes(box)
    axes.set_axis_off()
    axes.imshow(panel, interpolation="none", aspect="auto", extent=(0, width, height, 0))
    for left, top, w, h in frames:
        for color, line in (("black", 3.0), ("white", 1.2)):
            axes.add_patch(Rectangle((left, top), w, h, fill=False, edgecolor=color, linewidth=line))
