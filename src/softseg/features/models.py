"""What a feature model is, and those that are other people's: DINOv2, any of the hub or of timm, and folders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from softseg.errors import ModelError
from softseg.features import store
from softseg.features.backbones import is_backbone
from softseg.features.hub import Extractor, HubSettings, load_extractor
from softseg.features.repositories import MANIFEST, PART, manifest_of

Kind = Literal["taps", "network", "backbone"]  # stages of a network; a network trained for this; someone else's
PREFIXES = ("hub:", "timm:")
_PART = r"[A-Za-z0-9][\w.\-]*"  # of OWNER/NAME; never "..", so it stays inside the folder of the models
_PATTERNS = {"hub:": f"{_PART}/{_PART}", "timm:": _PART}


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights that are known by a name: what they are, where they lie, and where they come from."""

    name: str
    description: str
    terms: str  # the licence of the weights
    locate: Callable[[], Path | None]  # the file or the folder with the weights, None where it is not there
    digest: str | None = None  # SHA-256 that the file must have; None: not known beforehand, as for folders
    remedy: str  # what to do when it is not there
    repair: str = ""  # what to do when it is damaged; "": the remedy
    source: str | None = None  # OWNER/NAME on the hub, or the address of a file; None: cannot be fetched
    megabytes: int | None = None  # to be fetched, about


@dataclass(frozen=True, kw_only=True)
class Model(Weights):
    """A way from a photo to features."""

    kind: Kind
    load: Callable[[Path, torch.device], Extractor]


def dinov2_models() -> Iterator[Model]:
    """Those that have a name of their own. Oquab et al. 2023; with registers: Darcet et al. 2023."""
    sizes = {"small": (384, 88), "base": (768, 346), "large": (1024, 1218)}
    for middle, words in (("", ""), ("with-registers-", ", with registers")):
        for size, (channels, megabytes) in sizes.items():
            yield backbone(
                f"dinov2-{middle}{size}",
                f"DINOv2 {size}{words}: self-supervised vision transformer, {channels} channels, patches of 14",
                source=f"facebook/dinov2-{middle}{size}",
                terms="Apache-2.0",
                megabytes=megabytes,
            )


def backbone(
    name: str,
    description: str,
    *,
    source: str | None = None,
    terms: str = "",
    megabytes: int | None = None,
    folder: Path | None = None,
    settings: HubSettings | None = None,
) -> Model:
    """A model that transformers or timm opens: of the hub, or in `folder`."""
    return Model(
        name=name,
        description=description,
        kind="backbone",
        terms=terms,
        locate=partial(_installed, name) if folder is None else lambda: folder,
        load=partial(load_extractor, settings=settings or HubSettings()),
        digest=None,
        remedy=f"run: softseg models fetch {name}" if source else "save it again with save_pretrained",
        repair=f"run: softseg models fetch {name} --force" if source else "",
        source=source,
        megabytes=megabytes,
    )


def other_model(name: str) -> Model | None:
    """The model for hub:OWNER/NAME, timm:NAME, or a folder, with or without such a prefix; None for anything else."""
    prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), "")
    rest = name[len(prefix) :]
    if rest and is_backbone(Path(rest)):
        return backbone(name, f"the model in {rest}", terms="its own", folder=Path(rest))
    if not prefix or not re.fullmatch(_PATTERNS[prefix], rest):
        return None
    source = rest if prefix == "hub:" else f"timm/{rest}"
    return backbone(name, f"{source} of the hub", source=source, terms=_terms(name))


def fetched_models() -> Iterator[str]:
    """The names of those models of the hub and of timm that were fetched without a name of their own."""
    for prefix in PREFIXES:
        folder = store.home() / "models" / prefix[:-1]
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            rest = path.name.replace("--", "/", 1)
            if _is_whole(path) and re.fullmatch(_PATTERNS[prefix], rest):
                yield prefix + rest


def target(name: str) -> Path:
    """Where the weights of a model that was fetched lie."""
    kind, _, rest = name.rpartition(":")
    return store.home() / "models" / kind / rest.replace("/", "--")


def _installed(name: str) -> Path | None:
    return target(name) if _is_whole(target(name)) else None


def _is_whole(folder: Path) -> bool:
    """Whether a model lies in `folder`, and not an interrupted download, which has no list of its files yet."""
    return is_backbone(folder) and (folder.suffix != PART or (folder / MANIFEST).is_file())


def _terms(name: str) -> str:
    """What the hub said of the licence when the model was fetched."""
    path = _installed(name)
    try:
        manifest = manifest_of(path) if path is not None else None
    except ModelError:  # said by `verify`; here it must not keep the other models from being listed
        manifest = None
    return str(manifest.get("licence", "see its page")) if manifest else "see its page"
