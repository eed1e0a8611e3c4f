"""Options that several commands have, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softseg.cli.labelled import Split
from softseg.settings import DeviceName

Features = Annotated[
    str, typer.Option(metavar="embedded|NAME|FILE", help="Feature model, or a .safetensors file with its weights.")
]
SplitOf = Annotated[
    Split, typer.Option(help="All photos; or by the fixed rule for data without a split: every 5th is for val.")
]
Device = Annotated[DeviceName, typer.Option(help="Where to compute.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the random choices.")]
Jobs = Annotated[int, typer.Option(min=1, metavar="N", help="Photos at a time.")]
KeptFolder = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        file_okay=False,
        show_default=False,
        help="Keep each photo's result here, and take up those of an earlier run that was broken off.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result and failures only.")]
FailuresOnly = Annotated[bool, typer.Option("--quiet", "-q", help="Print failures only.")]
ReplaceReport = Annotated[bool, typer.Option("--overwrite", help="Replace JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print tracebacks of failures.")]
