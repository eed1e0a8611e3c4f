"""softseg: a photograph in, semantic soft layers out.

import softseg
result = softseg.segment("photo.jpg")
result.save("out/")
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softseg.errors import SoftsegError
    from softseg.layers import SoftSegments
    from softseg.pipeline import Decomposition, decompose, segment
    from softseg.settings import Settings

__all__ = ["Decomposition", "Settings", "SoftSegments", "SoftsegError", "__version__", "decompose", "segment"]

_HOMES = {
    "Decomposition": "softseg.pipeline",
    "Settings": "softseg.settings",
    "SoftSegments": "softseg.layers",
    "SoftsegError": "softseg.errors",
    "decompose": "softseg.pipeline",
    "segment": "softseg.pipeline",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import softseg` itself stays cheap."""
    if name == "__version__":
        return metadata.version("softseg")
    if name not in _HOMES:
        raise AttributeError(f"module 'softseg' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
