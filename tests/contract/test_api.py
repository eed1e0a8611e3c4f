"""Names, signatures, and what comes back for a small photograph."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from PIL import Image

import softseg
from softseg import pipeline
from softseg.errors import InputError
from softseg.images import load_photo

H, W = 48, 40
REQUIRED = inspect.Parameter.empty


def make_photo() -> np.ndarray:
    """(48, 40, 3) in [0, 1], in steps of 1/255: three coloured regions with soft borders."""
    y, x = np.mgrid[0:H, 0:W]
    left, low = (1 / (1 + np.exp(-d / 1.5))[..., None] for d in (18.0 - x, y - 30.0))
    image = left * [0.8, 0.3, 0.2] + (1 - left) * [0.2, 0.4, 0.8]
    image = (1 - low) * image + low * [0.3, 0.8, 0.3]
    image += 0.03 * (np.random.default_rng(0).random(image.shape) - 0.5)
    return np.rint(image.clip(0, 1) * 255) / 255


PHOTO = make_photo()


@pytest.fixture(scope="module")
def decomposition() -> softseg.Decomposition:
    return softseg.decompose(PHOTO, features=PHOTO, device="cpu", seed=1)


def check_result(result: softseg.SoftSegments, count: int) -> None:
    assert isinstance(result, softseg.SoftSegments) and len(result) == count
    alphas = result.alphas
    assert alphas.shape == (count, H, W) and alphas.dtype == np.float32
    assert alphas.min() >= 0 and alphas.max() <= 1
    np.testing.assert_allclose(alphas.sum(axis=0, dtype=np.float64), 1, atol=1e-6)
    assert (np.diff(result.areas) <= 1e-9).all()  # largest first


# Signatures

# Further parameters may follow; they must be optional.
SIGNATURES: dict[str, dict[str, Any]] = {
    "softseg.segment": {"image": REQUIRED},
    "softseg.decompose": {"image": REQUIRED, "features": "embedded"},
    "softseg.features.extract": {"image": REQUIRED, "model": "embedded", "device": "auto"},
    "softseg.features.guided_filter": {
        "image": REQUIRED,
        "channels": REQUIRED,
        "radius": 5,
        "regularization": 0.01,
    },
    "softseg.features.project": {"features": REQUIRED, "image": REQUIRED, "dimensions": 3},
    "softseg.graph.matting_affinity": {"image": REQUIRED, "epsilon": 1e-7},
    "softseg.graph.superpixels": {"image": REQUIRED, "count": 2500},
    "softseg.graph.semantic_affinity": {"features": REQUIRED, "labels": REQUIRED},
    "softseg.graph.color_affinity": {"image": REQUIRED, "labels": REQUIRED},
    "softseg.graph.laplacian": {
        "matting": REQUIRED,
        "semantic": REQUIRED,
        "color": REQUIRED,
        "semantic_weight": 0.01,
        "color_weight": 0.01,
    },
    "softseg.spectrum.smallest_eigenpairs": {"laplacian": REQUIRED, "count": 100},
    "softseg.segments.constrained_sparsification": {
        "vectors": REQUIRED,
        "values": REQUIRED,
        "initial_labels": REQUIRED,
    },
    "softseg.segments.group": {"segments": REQUIRED, "features": REQUIRED, "layers": REQUIRED},
    "softseg.segments.relaxed_sparsification": {"layers": REQUIRED, "laplacian": REQUIRED, "image": REQUIRED},
    "softseg.training.metric_loss": {"features": REQUIRED, "labels": REQUIRED},
    "softseg.training.sample_pixels": {"labels": REQUIRED, "rng": REQUIRED, "instances": 3, "pixels": 1000},
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name: str) -> None:
    module, function = name.rsplit(".", 1)
    if module == "softseg.training" and importlib.util.find_spec(module) is None:
        pytest.skip("softseg.training is not part of this version")
    parameters = list(inspect.signature(getattr(importlib.import_module(module), function)).parameters.values())
    promised = SIGNATURES[name]
    by_position = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name in promised]
    assert by_position == [name for name in promised if name in by_position]
    by_name = {parameter.name: parameter for parameter in parameters}
    for expected, default in promised.items():
        assert by_name[expected].default == default
        if default is REQUIRED:
            assert by_name[expected].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    for parameter in parameters:
        assert parameter.name in promised or parameter.default is not REQUIRED, f"{parameter.name} must be optional"


def test_layers_takes_the_number_of_layers_first(decomposition: softseg.Decomposition) -> None:
    assert next(iter(inspect.signature(decomposition.layers).parameters)) == "count"


# The stages by hand


def test_stages_return_what_they_promise() -> None:
    from softseg.features import guided_filter, project
    from softseg.graph import color_affinity, laplacian, matting_affinity, semantic_affinity, superpixels
    from softseg.segments import constrained_sparsification, group, initial_clusters, relaxed_sparsification
    from softseg.spectrum import smallest_eigenpairs

    size = H * W
    raw = np.random.default_rng(0).normal(size=(H, W, 8)).astype(np.float32) + 4 * PHOTO[..., :1]
    filtered = guided_filter(PHOTO, raw)
    assert filtered.shape == raw.shape
    features = project(raw, PHOTO)
    assert features.shape == (H, W, 3) and features.min() >= 0 and features.max() <= 1
    assert project(raw, PHOTO, dimensions=2).shape == (H, W, 2)

    labels = superpixels(PHOTO)
    assert labels.shape == (H, W) and np.issubdtype(labels.dtype, np.integer)
    affinities = [matting_affinity(PHOTO), semantic_affinity(features, labels), color_affinity(PHOTO, labels)]
    graph = laplacian(*affinities)
    for matrix in (*affinities, graph):
        assert isinstance(matrix, sp.csr_array) and matrix.shape == (size, size)

    values, vectors = smallest_eigenpairs(graph, 12)
    assert values.shape == (12,) and vectors.shape == (size, 12)
    segments = constrained_sparsification(vectors, values, initial_clusters(PHOTO, 8))
    assert segments.ndim == 2 and segments.shape[1] == size
    layers, clusters = group(segments, features, 2)
    assert layers.shape == (2, size) and clusters.shape == (len(segments),)
    alphas = relaxed_sparsification(layers, graph, PHOTO)
    assert alphas.shape == (2, H, W)


def test_embedded_features() -> None:
    features = softseg.features.extract(PHOTO, device="cpu")
    assert features.shape[:2] == (H, W) and features.ndim == 3 and features.dtype == np.float32


# The whole


@pytest.mark.parametrize("form", ["float array", "bytes", "PIL image", "path"])
def test_segment_takes_every_form_of_a_photo(
    form: str, decomposition: softseg.Decomposition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.rint(PHOTO * 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    photo = {
        "float array": PHOTO,
        "bytes": pixels,
        "PIL image": Image.fromarray(pixels),
        "path": tmp_path / "photo.png",
    }[form]
    seen = []

    def decompose(image: Any, **options: Any) -> Any:
        seen.append(load_photo(image).pixels)
        return decomposition

    monkeypatch.setattr(pipeline, "decompose", decompose)
    check_result(softseg.segment(photo, 3), 3)
    np.testing.assert_allclose(seen[0], PHOTO, atol=1e-12)


def test_segment_with_nothing_but_a_photo() -> None:
    check_result(softseg.segment(PHOTO), 5)


def test_the_exact_solver() -> None:
    check_result(softseg.segment(PHOTO, 3, features=PHOTO, device="cpu", solver="exact"), 3)


def test_the_regions_of_the_photo_are_found(decomposition: softseg.Decomposition) -> None:
    alphas = decomposition.layers(3).alphas
    owners = {int(alphas[:, y, x].argmax()) for y, x in [(10, 5), (10, 34), (44, 20)]}
    assert owners == {0, 1, 2}
    for y, x in [(10, 5), (10, 34), (44, 20)]:
        assert alphas[:, y, x].max() > 0.9


def test_save_writes_the_files_of_the_contract(decomposition: softseg.Decomposition, tmp_path: Path) -> None:
    result = decomposition.layers(3)
    folder = tmp_path / "out"
    result.save(folder)
    files = ["alphas.npz", "layer-00.png", "layer-01.png", "layer-02.png", "overview.png", "report.json"]
    assert sorted(path.name for path in folder.iterdir()) == files
    with np.load(folder / "alphas.npz") as archive:
        assert archive.files == ["alphas"]
        np.testing.assert_array_equal(archive["alphas"], result.alphas)
        assert archive["alphas"].dtype == np.float32
    with Image.open(folder / "overview.png") as overview:
        assert overview.size == (W, H) and overview.mode == "RGB"
    for k in range(3):
        with Image.open(folder / f"layer-{k:02d}.png") as layer:
            assert layer.size == (W, H) and layer.mode == "RGBA"
            red, green, blue, alpha = (np.asarray(band) for band in layer.split())
        np.testing.assert_array_equal(alpha, np.rint(result.alphas[k] * 255))
        np.testing.assert_array_equal(
            np.dstack([red, green, blue]), np.rint(PHOTO * 255)
        )  # straight, not premultiplied
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert {"settings", "versions", "device", "model", "size", "seconds", "peak_memory_bytes"} <= set(report)
    assert report["size"] == {"width": W, "height": H} and report["device"] == "cpu"
    assert report["settings"]["seed"] == 1
    assert set(report["versions"]) >= {"softseg", "numpy", "scipy", "torch", "python"}
    assert len(report["seconds"]) >= 5 and all(seconds >= 0 for seconds in report["seconds"].values())


# Once taken apart, put together as often as wanted


def test_layers_compute_nothing_of_the_slow_part_again(
    decomposition: softseg.Decomposition, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("computed again")

    slow = (
        "boundary_map color_affinity eigenbasis extract fit_segments initial_clusters initial_regions laplacian "
        "load_photo matting_affinity project semantic_affinity superpixels"
    )
    for name in slow.split():
        monkeypatch.setattr(pipeline, name, forbidden)
    with pytest.raises(AssertionError, match="again"):
        softseg.decompose(PHOTO, features=PHOTO)
    for count in (2, 3, 2):
        check_result(decomposition.layers(count), count)


def test_layers_are_nested(decomposition: softseg.Decomposition, monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = []

    def remember(*arguments: Any, **options: Any) -> Any:
        grouped = add_up(*arguments, **options)
        clusters.append(grouped[1])
        return grouped

    add_up = pipeline.add_up
    monkeypatch.setattr(pipeline, "add_up", remember)
    two, three = decomposition.layers(2).alphas, decomposition.layers(3).alphas
    assert len(set(zip(*clusters, strict=True))) == 3  # each of the three lies in one of the two
    # The alphas are sharpened afterwards, so they are nested only nearly: some layer is split, the other stays.
    sums = [three[a] + three[b] for a, b in ((0, 1), (0, 2), (1, 2))]
    assert min(abs(layer - total).mean() for layer in two for total in sums) < 0.02


def test_layers_do_not_change_with_what_was_asked_before(decomposition: softseg.Decomposition) -> None:
    before = decomposition.layers(3).alphas
    decomposition.layers(2, grouping="kmeans")
    assert decomposition.layers(3).alphas.tobytes() == before.tobytes()


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_impossible_numbers_of_layers_are_refused(decomposition: softseg.Decomposition, count: int) -> None:
    advice = "choose a whole number from 2" if count < 2 else f"choose at most {len(decomposition.segments)} layers"
    with pytest.raises(InputError, match=advice):
        decomposition.layers(count)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"layers": 2.5}, "2.5 layers"),
        ({"layers": "all"}, "'all' layers"),
        ({"grouping": "ward"}, "grouping is 'ward'"),
        ({"solver": "exakt"}, "solver is 'exakt'"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": None}, "seed is None"),
        ({"features": None}, "features is a NoneType"),
        ({"features": "no-such-model"}, "no feature model 'no-such-model'"),
        ({"settings": softseg.Settings(), "seed": 3}, "not both"),
    ],
)
def test_impossible_requests_are_refused_in_words(request_: dict[str, object], words: str) -> None:
    photo = np.random.default_rng(0).random((24, 24, 3))
    with pytest.raises(softseg.SoftsegError, match=words):
        softseg.segment(photo, **request_)


def test_kmeans_refuses_more_layers_than_there_are_different_features() -> None:
    from softseg.segments import group

    segments, features = np.repeat(np.eye(6), 2, axis=1), np.repeat([0.0, 1.0], 6)[:, None]
    with pytest.raises(InputError, match="2 different"):
        group(segments, features, 3, "kmeans")


def test_one_soft_segment_is_explained() -> None:
    with pytest.raises(InputError) as refusal:
        softseg.segment(PHOTO, 2, features=np.zeros_like(PHOTO), device="cpu")
    assert "2 to 1" not in str(refusal.value)


# The same seed, the same bytes


def test_the_same_seed_gives_the_same_bytes(decomposition: softseg.Decomposition, tmp_path: Path) -> None:
    decomposition.layers(3).save(tmp_path / "once")
    softseg.segment(PHOTO, 3, features=PHOTO, device="cpu", seed=1).save(tmp_path / "again")
    once, again = ((tmp_path / run / "alphas.npz").read_bytes() for run in ("once", "again"))
    assert once == again


def test_the_same_seed_gives_the_same_bytes_on_the_command_line(tmp_path: Path) -> None:
    Image.fromarray(np.rint(PHOTO * 255).astype(np.uint8)).save(tmp_path / "photo.png")
    np.save(tmp_path / "features.npy", PHOTO)
    for run in ("once", "again"):
        command = [sys.executable, "-W", "error", "-m", "softseg", "segment", str(tmp_path / "photo.png")]
        command += ["-o", str(tmp_path / run), "--features", str(tmp_path / "features.npy")]
        command += ["--layers", "3", "--device", "cpu", "--solver", "fast", "--seed", "1"]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"NO_COLOR": "1"}, check=False)
        assert done.returncode == 0, done.stderr
        assert "3 layers" in done.stdout
    files = ["alphas.npz", "layer-00.png", "layer-01.png", "layer-02.png", "overview.png", "report.json"]
    for run in ("once", "again"):
        assert sorted(path.name for path in (tmp_path / run / "photo").iterdir()) == files
    for name in files[:-1]:  # all but the seconds in the report
        once, again = ((tmp_path / run / "photo" / name).read_bytes() for run in ("once", "again"))
        assert once == again, name


def test_wrong_usage_and_failed_images_have_their_exit_codes(tmp_path: Path) -> None:
    def code(*arguments: str) -> int:
        return subprocess.run(
            [sys.executable, "-m", "softseg", *arguments], capture_output=True, check=False
        ).returncode

    (tmp_path / "broken.jpg").write_bytes(b"not an image")
    assert code("segment", str(tmp_path / "broken.jpg"), "-o", str(tmp_path / "out")) == 1
    assert code("segment", "--nonsense") == 2
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
