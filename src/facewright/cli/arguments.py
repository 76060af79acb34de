"""Arguments and options that many commands have, said once: the same word means the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Faceset = Annotated[Path, typer.Argument(metavar="FACESET", help="Folder of a faceset.")]
Person = Annotated[str, typer.Option(help="Only the faces of this person, where the faceset shows several.")]
Background = Annotated[bool, typer.Option("--background", help="Start the job and return; watch it with `jobs watch`.")]
