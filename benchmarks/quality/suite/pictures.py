"""The best, median and worst photos of a measurement as PNG files, named with their scores.

They show research data, so they go to a folder of their own and never into the repository.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.quality.suite.drawing import Drawing
from benchmarks.quality.suite.options import Measured, Measurement
from benchmarks.quality.suite.ranking import Ranked, chosen, ranked
from softseg.evaluation.drawn import attempt
from softseg.evaluation.parallel import FAILURE, Kept, results
from softseg.evaluation.sheet import draw_sheet, png_bytes
from softseg.files import write_atomically

WORST = {"regions": 10, "alpha": 10}  # how many of the worst; of other measurements one
_OURS = ("best_*.png", "median_*.png", "worst-*_*.png", "worst.png")


def write_pictures(
    folder: Path, measurement: Measurement, photos: Any, measured: Measured, kept: Path, jobs: int = 1
) -> list[tuple[str, str]]:
    """Write ROLE_SCORE_NAME.png for each photo that is to be looked at, and the worst ones on one page, worst.png.

    Those of an earlier run are removed. Returns name and reason of what could not be drawn.
    """
    file = measurement.file
    roles = chosen(ranked(file, measured.contents), WORST.get(file, 1))
    drawn, failures = _drawn(list(roles.values()), measurement, photos, measured, kept, jobs)
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in _OURS:
        for old in folder.glob(pattern):
            old.unlink()
    for role, photo in roles.items():
        if photo.number in drawn:
            _write(folder / f"{role}_{photo.score:.4f}_{_plain(photo.name)}.png", drawn[photo.number])
    worst = [photo for role, photo in roles.items() if role.startswith("worst") and photo.number in drawn]
    if len(worst) > 1:
        captions = [f"{photo.name}: {photo.score:.4f}" for photo in worst]
        _write(folder / "worst.png", _page(captions, [drawn[photo.number] for photo in worst]))
    return failures


def store_pictures(folder: Path, pictures: Mapping[str, bytes]) -> None:
    """NAME.png for each photo; those of an earlier run are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for name, picture in pictures.items():
        _write(folder / f"{_plain(name)}.png", picture)


def load_pictures(folders: Sequence[Path], names: Sequence[str]) -> dict[int, bytes]:
    """What was stored of each photo, by its number, that of all folders side by side; of some photos nothing."""
    found = {}
    for i, name in enumerate(names):
        paths = [folder / f"{_plain(name)}.png" for folder in folders]
        pictures = [path.read_bytes() for path in paths if path.is_file()]
        if pictures:
            found[i] = _side_by_side(pictures)
    return found


def _side_by_side(pictures: Sequence[bytes]) -> bytes:
    opened = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    page = Image.new("RGB", (sum(p.width for p in opened), max(p.height for p in opened)), "white")
    left = 0
    for picture in opened:
        page.paste(picture, (left, 0))
        left += picture.width
    return png_bytes(page)


def _drawn(
    photos: Sequence[Ranked], measurement: Measurement, data: Any, measured: Measured, kept: Path, jobs: int
) -> tuple[Mapping[int, bytes], list[tuple[str, str]]]:
    """PNG of each photo by its number; those that came with the measurement need no drawing."""
    if measured.pictures:
        return measured.pictures, []
    draw = _Draw(Drawing(measurement.file, data, measured.contents), photos)
    names = [photo.name for photo in photos]
    found = dict(results(draw, len(photos), jobs, Kept(kept / "pictures", names, _decisive(measurement, measured))))
    failures = [(photos[k].name, row[FAILURE]) for k, row in sorted(found.items()) if row.get(FAILURE)]
    good = {photos[k].number: base64.b64decode(row["picture"]) for k, row in found.items() if "picture" in row}
    return good, failures


@dataclass(frozen=True)
class _Draw:
    drawing: Callable[[int], Any]
    photos: Sequence[Ranked]

    def __call__(self, k: int) -> dict[str, Any]:
        photo = self.photos[k]

        def picture() -> dict[str, Any]:
            return {"picture": base64.b64encode(png_bytes(draw_sheet(self.drawing(photo.number)))).decode()}

        return attempt(photo.name, picture)


def _decisive(measurement: Measurement, measured: Measured) -> dict[str, Any]:
    """What a picture shows besides the photo of that name: all scores, and the code that draws."""
    code = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    return {
        "measure": f"picture of {measurement.file}",
        "contents": measured.contents,
        "code": hashlib.sha256(code).hexdigest(),
    }


def _page(captions: Sequence[str], pictures: Sequence[bytes]) -> bytes:
    """Pictures one below the other, the name of each above it."""
    from PIL import ImageDraw, ImageFont

    opened = [Image.open(io.BytesIO(picture)).convert("RGB") for picture in pictures]
    font, line = ImageFont.load_default(14), 20
    page = Image.new("RGB", (max(p.width for p in opened), sum(p.height + line for p in opened)), "white")
    top = 0
    for caption, picture in zip(captions, opened, strict=True):
        ImageDraw.Draw(page).text((6, top + 2), caption, fill="black", font=font)
        page.paste(picture, (0, top + line))
        top += picture.height + line
    return png_bytes(page)


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)[:80]


def _write(path: Path, picture: bytes) -> None:
    write_atomically(path, lambda file: file.write(picture))
