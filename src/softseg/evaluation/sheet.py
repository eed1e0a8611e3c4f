"""Pictures side by side with captions, for looking at what the numbers say."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

_MARGIN, _TEXT = 6, 14


def draw_sheet(rows: Sequence[Sequence[tuple[str, np.ndarray]]], longest: int = 400) -> PILImage:
    """A page with each picture in its cell, its caption below.

    Parameters
    ----------
    rows : of (caption, picture); a picture is (h, w, 3) or (h, w) floats in [0, 1]. All of about one size.
    longest : side of a picture on the page, in pixels; larger ones are reduced.

    Examples
    --------
    >>> draw_sheet([[("a", np.zeros((20, 30))), ("b", np.ones((20, 30)))]]).size
    (78, 54)
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(_TEXT - 2)
    cells = [[(caption, _picture(values, longest)) for caption, values in row] for row in rows]
    sizes = [picture.size for row in cells for _, picture in row]
    width = max(size[0] for size in sizes) + _MARGIN
    height = max(size[1] for size in sizes) + _MARGIN + _TEXT + 2
    columns = max(len(row) for row in cells)
    page = Image.new("RGB", (columns * width + _MARGIN, len(cells) * height + 2 * _MARGIN), "white")
    draw = ImageDraw.Draw(page)
    for r, row in enumerate(cells):
        for c, (caption, picture) in enumerate(row):
            left, top = _MARGIN + c * width, _MARGIN + r * height
            page.paste(picture, (left, top))
            draw.text((left, top + picture.height + 2), caption, fill="black", font=font)
    return page


def png_bytes(page: PILImage) -> bytes:
    """The page as a PNG file."""
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def _picture(values: np.ndarray, longest: int) -> PILImage:
    from PIL import Image

    array = np.rint(np.asarray(values, dtype=np.float64).clip(0, 1) * 255).astype(np.uint8)
    picture = Image.fromarray(array if array.ndim == 3 else np.repeat(array[:, :, None], 3, axis=2))
    picture.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return picture
