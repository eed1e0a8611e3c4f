"""One photograph to soft layers: segment, look, save.

Run it from anywhere: `python examples/simple.py`. The layers go to `out/simple/` in the current folder.
"""

from __future__ import annotations

from pathlib import Path

import softseg

photo = Path(__file__).parent / "astronaut.jpg"

result = softseg.segment(photo)

for k, area in enumerate(result.areas):
    print(f"layer {k} covers {area:6.1%} of {result.name}")
print(f"the alphas sum to one within {abs(result.alphas.sum(axis=0) - 1).max():.1e}")
print(f"written to {result.save('out/simple', overwrite=True)}")
