"""What is measured, and the times and memory that are aimed at on two cores, for 640 x 480 pixels and five layers."""

from __future__ import annotations

from typing import NamedTuple

SIZE = (640, 480)  # width and height
LARGE = (4000, 3000)
LAYERS = 5
MOST_MEGAPIXELS = 100  # here: of a photo; what is larger fills the memory of most machines before it is measured


class Row(NamedTuple):
    """title : what is done.
    seconds, memory : aimed at, in seconds and bytes; None where nothing is.
    usual : whether it is measured when nobody says what.
    """

    title: str
    seconds: float | None
    memory: float | None
    usual: bool = True


ROWS: dict[str, Row] = {
    "decompose": Row("decompose and layers(5), features given", 3.0, 1.5e9),
    "layers": Row("layers(k) again for another k", 0.7, None),
    "file": Row("from file to written output, embedded features", 5.0, None),
    "cold": Row("softseg segment, from the start of the process to its end", 9.0, None),
    "growth": Row("decompose and layers(5), embedded features, in steps of four times the pixels", None, None),
    "large": Row("4000 x 3000, from file to written output", 90.0, 8e9, usual=False),
}
GROWTH = 4.5  # t(4N) / t(N) aimed at
