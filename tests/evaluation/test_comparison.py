"""What several methods make of a photo, and the figure: its pixels, its text, its crops."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from softseg.baselines import spectral_matting
from softseg.baselines.label_map import LabelMap
from softseg.errors import InputError, ModelError
from softseg.evaluation import comparison as module
from softseg.evaluation.comparison import Comparison, compare, open_networks
from softseg.evaluation.comparison_figure import Crop, draw_comparison, save_figure, tint
from softseg.layers import layer_colors
from softseg.segments import group
from softseg.settings import Solver

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'softseg[baselines]'")


def halves(h: int = 32, w: int = 40) -> np.ndarray:
    photo = np.random.default_rng(0).random((h, w, 3)) * 0.1
    photo[:, w // 2 :] += 0.8
    return photo


def quarters(image: torch.Tensor) -> LabelMap:
    """A network that sees quarters."""
    h, w, _ = image.shape
    labels = 2 * (np.arange(h) >= h // 2)[:, None] + (np.arange(w) >= w // 2)
    return LabelMap(labels, ("a", "b", "c", "d"), nothing=0)


def example(h: int = 300, w: int = 400, name: str = "photo.png") -> Comparison:
    photo = halves(h, w)
    right = np.clip((np.arange(w) - w / 2 + 20) / 40, 0, 1)[None].repeat(h, axis=0)
    soft = np.stack([1 - right, right]).astype(np.float32)
    hard = quarters(torch.from_numpy(photo))
    return Comparison(name, photo, {"pspnet": hard, "spectral_matting": soft[::-1], "ours": soft})


def pixels(figure: object, path: Path) -> np.ndarray:
    save_figure(figure, path)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def place_of(panel: np.ndarray, page: np.ndarray) -> list[tuple[int, int]]:
    """Where `panel` lies on the page, pixel by pixel."""
    h, w = panel.shape[:2]
    rows, columns = page.shape[0] - h + 1, page.shape[1] - w + 1
    possible = np.ones((rows, columns), dtype=bool)
    for y, x in ((0, 0), (0, w - 1), (h - 1, 0), (h // 2, w // 2)):
        possible &= (page[y : y + rows, x : x + columns] == panel[y, x]).all(2)
    return [(y, x) for y, x in np.argwhere(possible) if np.array_equal(page[y : y + h, x : x + w], panel)]


class TestMethods:
    @pytest.mark.parametrize("solver", ["exact", "fast"])
    def test_every_column(self, solver: Solver) -> None:
        photo = halves()
        chosen = {} if solver == "exact" else {"spectral_solver": solver}
        found = compare(photo, {"mask_rcnn": quarters}, layers=2, device="cpu", **chosen)
        assert list(found.segmentations) == ["mask_rcnn", "spectral_matting", "ours"]
        parts = module.decompose(photo, device="cpu")
        np.testing.assert_array_equal(found.segmentations["ours"], parts.layers(2).alphas)
        grouped, _ = group(spectral_matting(photo, solver=solver), parts.features, 2)
        wanted = grouped.reshape(2, 32, 40).clip(0, 1).astype(np.float32)
        np.testing.assert_array_equal(found.segmentations["spectral_matting"], wanted)

    def test_networks_alone_need_no_features(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "decompose", None)
        assert list(compare(halves(), {"pspnet": quarters}, methods=(), device="cpu").segmentations) == ["pspnet"]

    def test_an_unknown_method(self) -> None:
        with pytest.raises(InputError, match="no method 'theirs'"):
            compare(halves(), methods=("theirs",))

    def test_networks_without_weights_are_left_out_but_not_those_that_were_named(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("SOFTSEG_HOME", str(tmp_path))
        ready, left_out = open_networks({"pspnet": None, "mask_rcnn": None}, "cpu")
        assert (ready, list(left_out)) == ({}, ["pspnet", "mask_rcnn"])
        assert "softseg models fetch mask-rcnn" in left_out["mask_rcnn"]
        with pytest.raises(ModelError, match=r"no weights 'my\.pth' for Mask R-CNN"):
            open_networks({"pspnet": None, "mask_rcnn": "my.pth"}, "cpu")
        (tmp_path / "models" / "pspnet").mkdir(parents=True)
        with pytest.raises(ModelError, match="pspnet holds no weights"):  # there, but of no use: not passed over
            open_networks({"pspnet": None}, "cpu")


class TestTint:
    def test_grey_where_nothing_is(self) -> None:
        photo = halves()
        gray = (photo @ [0.299, 0.587, 0.114])[:, :, None]
        panel = tint(photo, quarters(torch.from_numpy(photo)), layer_colors(4))
        np.testing.assert_allclose(panel[:16, :20], gray[:16, :20].repeat(3, axis=2))
        np.testing.assert_allclose(panel[0, 30], 0.4 * gray[0, 30] + 0.6 * layer_colors(4)[1])

    def test_alphas_mix_colours_and_stay_in_range(self) -> None:
        alphas = np.array([[[1.2, 0.5]], [[-0.2, 0.5]]])
        panel = tint(np.full((1, 2, 3), 0.5), alphas, np.array([[1.0, 0, 0], [0, 0, 1.0]]))
        np.testing.assert_allclose(panel, [[[0.8, 0.2, 0.2], [0.5, 0.2, 0.5]]])


class TestFigure:
    def test_every_pixel_of_a_panel_is_on_the_page(self, tmp_path: Path) -> None:
        given = example()
        page = pixels(draw_comparison([given]), tmp_path / "a.png")
        places = []
        photo = np.rint(given.image * 255).astype(np.uint8)
        ours = np.rint(tint(given.image, given.segmentations["ours"], layer_colors(2)) * 255).astype(np.uint8)
        for panel, count in ((photo, 1), (ours, 2)):  # Spectral Matting has the same layers, hence the same colours
            places.extend(place_of(panel, page))
            assert len(place_of(panel, page)) == count
        assert len({y for y, _ in places}) == 1  # one row
        assert [x for _, x in places] == sorted(x for _, x in places)

    def test_a_crop_is_enlarged_without_blur(self, tmp_path: Path) -> None:
        given = example()
        crop = Crop(190, 20, 50, 30)
        page = pixels(draw_comparison([given], [crop]), tmp_path / "a.png")
        part = np.rint(given.image * 255).astype(np.uint8)[20:50, 190:240]
        assert len(place_of(part.repeat(9, axis=0).repeat(9, axis=1), page)) == 1  # 256 / 30, rounded up
        # The frame of the crop is drawn on the photo itself.
        assert not place_of(np.rint(given.image * 255).astype(np.uint8), page)

    def test_small_photos_are_enlarged_and_large_ones_reduced(self, tmp_path: Path) -> None:
        small, large = example(64, 100, "small.png"), example(600, 2048, "large.png")
        page = pixels(draw_comparison([small, large]), tmp_path / "a.png")
        photo = np.rint(small.image * 255).astype(np.uint8)
        assert len(place_of(photo.repeat(4, axis=0).repeat(4, axis=1), page)) == 1
        assert page.shape[1] < 4 * 1100

    def test_the_same_figure_gives_the_same_bytes(self, tmp_path: Path) -> None:
        for suffix in ("png", "pdf"):
            for name in "ab":
                save_figure(draw_comparison([example()], [Crop(0, 0, 9, 9)]), tmp_path / f"{name}.{suffix}")
            assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()

    def test_a_pdf_has_text_and_pixels(self, tmp_path: Path) -> None:
        given = example()
        save_figure(draw_comparison([given], left_out={"mask_rcnn": "no weights"}), tmp_path / "a.pdf")
        content = (tmp_path / "a.pdf").read_bytes()
        assert content.startswith(b"%PDF")
        assert b"/FontFile2" in content  # letters of an embedded font, not pixels
        sizes = set(re.findall(rb"/Height (\d+).*?/Width (\d+)|/Width (\d+).*?/Height (\d+)", content, re.DOTALL))
        assert any(b"300" in size and b"400" in size for size in sizes)
        streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.DOTALL)
        text = b"".join(inflated(stream) for stream in streams)
        assert text.count(b"Tj") + text.count(b"TJ") >= 6  # titles, the photo's name, the foot
        assert b"/DCTDecode" not in content  # nothing is compressed with loss

    def test_a_method_that_one_photo_lacks_leaves_a_gap(self, tmp_path: Path) -> None:
        given = example()
        lacking = Comparison("b.png", given.image, {"ours": given.segmentations["ours"]})
        page = pixels(draw_comparison([given, lacking]), tmp_path / "a.png")
        photo = np.rint(given.image * 255).astype(np.uint8)
        (first, second) = place_of(photo, page)
        assert first[1] == second[1]
        width = photo.shape[1] + 6
        assert (page[second[0] : second[0] + 300, second[1] + width : second[1] + 2 * width - 6] == 255).all()

    @pytest.mark.parametrize("crop", [Crop(-1, 0, 5, 5), Crop(0, 0, 0, 5), Crop(390, 0, 11, 5), Crop(0, 299, 5, 2)])
    def test_a_crop_outside(self, crop: Crop) -> None:
        with pytest.raises(InputError, match=f"the crop {crop} is not inside photo.png, which has 400 x 300 pixels"):
            draw_comparison([example()], [crop])

    def test_nothing_to_draw(self) -> None:
        with pytest.raises(InputError, match="nothing to draw"):
            draw_comparison([])


def inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return b""
