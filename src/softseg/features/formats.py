"""Which network a safetensors file of weights is for, as its metadata say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from softseg.errors import ModelError

FORMATS = {"embedded": "softseg-embedded", "seed": "softseg-seed-resnet101"}  # network to format


def network_of(path: Path) -> str:
    """The network whose weights a safetensors file holds: "embedded" or "seed".

    Raises
    ------
    ModelError : no such file, damaged, or of another format; the text says which was found.

    Examples
    --------
    >>> network_of(Path("x.safetensors"))
    Traceback (most recent call last):
    softseg.errors.ModelError: there is no file x.safetensors; softseg train and softseg models import write such files
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelError(f"there is no file {path}; softseg train and softseg models import write such files")
    try:
        with safe_open(path, framework="pt") as file:
            found = stated_format(file.metadata())
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} cannot be read: {error}; copy it again, or train or import it again") from error
    for network, expected in FORMATS.items():
        if found == expected:
            return network
    raise ModelError(
        f"{path} has the format {found!r}, expected {' or '.join(map(repr, FORMATS.values()))}; give a file that "
        "softseg train wrote for the network 'embedded' or 'seed', or one of softseg models import"
    )


def stated_format(metadata: Mapping[str, str] | None) -> str | None:
    """The format in the metadata of a safetensors file.

    Where none of ours is stated, it follows from the network that was trained: the entry "network", or that of the
    recipe, which `softseg train` writes. None where nothing is said.

    Examples
    --------
    >>> stated_format({"recipe": '{"network": "embedded", "steps": 10}'})
    'softseg-embedded'
    """
    about = metadata or {}
    stated = about.get("format")
    if stated in FORMATS.values():
        return stated
    network = about.get("network") or _trained(about.get("recipe", ""))
    return FORMATS.get(network, network) if network else stated


def _trained(recipe: str) -> str | None:
    """The network that a recipe names."""
    try:
        network = json.loads(recipe)["network"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return network if isinstance(network, str) else None
