"""Fig. 2 of the supplement: a photo and three ways from its features to three dimensions, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from softseg.checks import check_image
from softseg.features.guided_filter import check_channels
from softseg.features.projection import principal_components, project, to_unit_range
from softseg.settings import FeatureSettings

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage
    from PIL.ImageFont import FreeTypeFont, ImageFont

_LABELS = ("(a) photo", "(b) random projection", "(c) PCA", "(d) guided filter, then PCA")
_LONGEST = 1024  # pixels of a panel's longer side: larger photos are reduced
_SHORTEST = 256  # smaller ones are enlarged, by a whole number, to show their pixels
_SHAPES = ((1, 4), (2, 2), (4, 1))  # rows and columns
_ASPECT = 1.5  # width to height of a page or screen, which the whole should come near


def draw_figure(
    image: np.ndarray, features: np.ndarray, seed: int = 0, projected: np.ndarray | None = None, device: str = "cpu"
) -> PILImage:
    """Draw (a) the photo, (b) a random projection of its features, (c) their PCA, (d) guided filter and PCA, labelled.

    Parameters
    ----------
    image : (h, w, 3) float array in [0, 1].
    features : (h, w, D) array of finite numbers, of about unit variance.
    seed : of the random projection.
    projected : (h, w, 3), what `project` makes of the features, where it is known already; None: computed.
    device : "cpu", "cuda" or "auto", for that computation.

    Returns
    -------
    An RGB picture. The panels are in one row, one column or two of each, whichever comes nearest to the proportions of
    a page; a panel is the photo at its own size, unless its sides are below 256 or above 1024 pixels.

    Raises
    ------
    InputError : the features are not finite numbers of the photo's size.

    Notes
    -----
    Source: supplement, Fig. 2. (b) to (d) are clipped and scaled as in `project`; only (d) is filtered.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> draw_figure(rng.random((16, 24, 3)), rng.normal(size=(16, 24, 8))).mode
    'RGB'
    """
    from PIL import Image

    sheets = [_to_size(panel) for panel in panels(image, features, seed, projected, device)]
    width, height = sheets[0].size
    margin = max(8, max(width, height) // 64)
    font = _font(_LABELS, max(width, _SHORTEST))
    caption = round(font.getbbox("(Ag")[3]) + margin // 2
    cell = max(width, *(round(font.getlength(label)) for label in _LABELS)) + margin, height + caption + margin
    rows, columns = min(_SHAPES, key=lambda shape: abs(np.log(shape[1] * cell[0] / (shape[0] * cell[1]) / _ASPECT)))
    page = Image.new("RGB", (columns * cell[0] + margin, rows * cell[1] + margin), "white")
    for k, (sheet, label) in enumerate(zip(sheets, _LABELS, strict=True)):
        left, top = margin + k % columns * cell[0], margin + k // columns * cell[1]
        _place(page, sheet, label, font, (left, top, cell[0] - margin))
    return page


def panels(
    image: np.ndarray, features: np.ndarray, seed: int = 0, projected: np.ndarray | None = None, device: str = "cpu"
) -> list[np.ndarray]:
    """The four panels of the figure, each (h, w, 3) in [0, 1]; parameters and errors as in `draw_figure`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> [panel.shape for panel in panels(rng.random((5, 6, 3)), rng.normal(size=(5, 6, 8)))]
    [(5, 6, 3), (5, 6, 3), (5, 6, 3), (5, 6, 3)]
    """
    photo = check_image(image)
    shape = photo.shape[:2]
    clip = FeatureSettings().clip
    values = check_channels(features, shape).clip(-clip, clip)
    vectors = torch.from_numpy(np.ascontiguousarray(values.reshape(-1, values.shape[2]).T))  # (D, N)
    directions = torch.from_numpy(np.random.default_rng(seed).normal(size=(3, len(vectors)))).float()
    largest = float(vectors.abs().max())
    chance = to_unit_range(directions @ (vectors - vectors.mean(1, keepdim=True)), largest)
    main = principal_components(vectors, 3)
    if projected is None:
        projected = project(features, photo, device=device)
    return [photo, *(plane.T.reshape(*shape, 3).numpy() for plane in (chance, main)), projected]


def _to_size(panel: np.ndarray) -> PILImage:
    """As a picture of at most 1024 and, as far as that allows, at least 256 pixels a side."""
    from PIL import Image

    picture = Image.fromarray(np.rint(panel * 255).astype(np.uint8))
    longest, shortest = max(picture.size), min(picture.size)
    if longest > _LONGEST:
        picture.thumbnail((_LONGEST, _LONGEST), Image.Resampling.LANCZOS)
        return picture
    times = max(1, min(_LONGEST // longest, -(-_SHORTEST // shortest)))
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def _font(labels: tuple[str, ...], width: int) -> FreeTypeFont | ImageFont:
    """Pillow's own scalable font, as large as the longest label allows in `width` pixels, from 12 to 32."""
    from PIL import ImageFont

    size = 32
    while size > 12 and max(ImageFont.load_default(size).getlength(label) for label in labels) > width:
        size -= 1
    return ImageFont.load_default(size)


def _place(
    page: PILImage, sheet: PILImage, label: str, font: FreeTypeFont | ImageFont, cell: tuple[int, int, int]
) -> None:
    """Draw a panel and its label below; `cell` is its left, its top and its width, in which both are centred."""
    from PIL import ImageDraw

    left, top, width = cell
    page.paste(sheet, (left + (width - sheet.width) // 2, top))
    start = left + (width - round(font.getlength(label))) // 2
    ImageDraw.Draw(page).text((start, top + sheet.height + 2), label, fill="black", font=font)
