"""Layers with two feature models, side by side: python docs/images/make_before_after.py PHOTO... -o FILE.png

Columns: the photo; features and layers with the untrained model "imagenet-taps"; features and layers with "embedded".
The features are shown as colours: red, green and blue are the three dimensions that the graph uses.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import softseg

HEIGHT = 240


def tile(image: Image.Image) -> Image.Image:
    """The picture at the common height."""
    return image.resize((round(image.width * HEIGHT / image.height), HEIGHT), Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--layers", type=int, default=5)
    arguments = parser.parse_args()
    rows = []
    for path in arguments.photos:
        columns = []
        for model in ("imagenet-taps", "embedded"):
            result = softseg.segment(path, arguments.layers, features=model)
            features = Image.fromarray(np.rint(result.features * 255).astype(np.uint8))
            columns += [features, result.overview()]
        rows.append([tile(picture) for picture in (Image.open(path).convert("RGB"), *columns)])
        print(path, flush=True)
    width = max(sum(part.width + 4 for part in row) for row in rows)
    sheet = Image.new("RGB", (width, len(rows) * (HEIGHT + 4)), "white")
    for number, row in enumerate(rows):
        x = 0
        for part in row:
            sheet.paste(part, (x, number * (HEIGHT + 4)))
            x += part.width + 4
    sheet.save(arguments.output)


if __name__ == "__main__":
    main()
