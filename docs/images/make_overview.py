"""Regenerate `overview.jpg`, the picture of the README, from the examples: `python docs/images/make_overview.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import softseg

HERE = Path(__file__).parent
EXAMPLES = HERE.parent.parent / "examples"
ROWS = (  # photo, number of layers, and which of them are shown
    ("astronaut", 5, (3, 1, 2)),
    ("chelsea", 3, (0, 1, 2)),
    ("coffee", 5, (1, 0, 2)),
)
TILE, GAP, MARGIN, CAPTION = 300, 10, 24, 30  # pixels: width of a picture, between pictures, around them, under a row
INK, PAPER = "#333333", "#ffffff"


def main() -> None:
    """Segment the photos, lay out their rows, write the picture."""
    rows = [row(*entry) for entry in ROWS]
    width = 2 * MARGIN + max(picture.width for picture in rows)
    sheet = Image.new("RGB", (width, 2 * MARGIN + sum(picture.height for picture in rows) - GAP), PAPER)
    y = MARGIN
    for picture in rows:
        sheet.paste(picture, (MARGIN, y))
        y += picture.height
    sheet.save(HERE / "overview.jpg", quality=88, optimize=True)
    print(f"{HERE / 'overview.jpg'}: {sheet.width} x {sheet.height} pixels")


def row(name: str, count: int, shown: tuple[int, ...]) -> Image.Image:
    """The photo, the overview and some layers of it, side by side, a caption under each."""
    path = EXAMPLES / f"{name}.jpg"
    result = softseg.segment(path, count)
    with Image.open(path) as photo:
        pictures = [(photo.convert("RGB"), path.name), (result.overview(), f"overview of {count} layers")]
    pictures += [(over_checkerboard(result.layer(k)), f"layer {k}, {result.areas[k]:.0%} of the photo") for k in shown]
    height = round(TILE * pictures[0][0].height / pictures[0][0].width)
    strip = Image.new("RGB", (len(pictures) * (TILE + GAP) - GAP, height + CAPTION + GAP), PAPER)
    draw = ImageDraw.Draw(strip)
    for i, (picture, caption) in enumerate(pictures):
        x = i * (TILE + GAP)
        strip.paste(picture.resize((TILE, height), Image.Resampling.LANCZOS), (x, 0))
        draw.text((x + 2, height + 6), caption, INK, ImageFont.load_default(15))
    return strip


def over_checkerboard(layer: Image.Image, side: int = 12) -> Image.Image:
    """An RGBA picture over light gray and white squares."""
    y, x = np.indices((layer.height, layer.width)) // side
    gray = np.where((x + y) % 2, 255, 222).astype(np.uint8)
    board = Image.fromarray(gray).convert("RGBA")
    board.alpha_composite(layer)
    return board.convert("RGB")


if __name__ == "__main__":
    main()
