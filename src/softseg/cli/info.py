"""`softseg info`: what is installed, and what it can compute with."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from softseg.cli.failures import Failures
from softseg.cli.options import Debug

PACKAGES = ("softseg", "numpy", "scipy", "torch", "scikit-image", "numba", "pillow")
OPTIONAL = ("pypardiso", "pillow-heif")


def info(
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Print versions, devices, feature models and the licence."""
    failures = Failures(debug)
    with failures.caught():
        facts = _facts()
        typer.echo(json.dumps(facts, indent=2) if as_json else _text(facts))
    failures.exit()


def _facts() -> dict[str, Any]:
    from softseg.features import available_models
    from softseg.layers.report import versions

    found = versions(PACKAGES + OPTIONAL)
    return {
        "versions": {name: version for name, version in found.items() if version or name not in OPTIONAL},
        "devices": _devices(),
        "models": [
            {"name": name, "description": description, "status": str(status)}
            for name, description, status in available_models()
        ],
        "licence": _licence(),
    }


def _devices() -> list[str]:
    import torch

    devices = [f"cpu, {torch.get_num_threads()} threads"]
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        devices.append(f"cuda:{index}, {device.name}, {device.total_memory / 2**30:.0f} GiB")
    return devices


def _licence() -> str:
    from importlib import metadata

    try:
        about = metadata.metadata("softseg")
    except metadata.PackageNotFoundError:
        return "see the file LICENSE"
    return str(about["License-Expression"]) if "License-Expression" in about else "see the file LICENSE"


def _text(facts: dict[str, Any]) -> str:
    lines = [f"{name:<14}{version or 'not installed as a package'}" for name, version in facts["versions"].items()]
    lines += [f"{'device':<14}{device}" for device in facts["devices"]]
    lines += [f"{'model':<14}{model['name']}: {model['description']} ({model['status']})" for model in facts["models"]]
    lines += [f"{'licence':<14}{facts['licence']}"]
    return "\n".join(lines)
