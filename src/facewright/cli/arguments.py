"""Arguments and options that many commands have, said once: the same word means the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Faceset = Annotated[Path, typer.Argument(metavar="FACESET", help="Folder of a faceset.")]
Film = Annotated[
    str, typer.Option("--film", metavar="NAME", help="Which of the set's films, by name or the beginning of its "
                      "digest; `faces info` lists them.")
]
Footage = Annotated[
    list[Path] | None,
    typer.Option("--footage", metavar="PATH", help="Where a film or folder of pictures of the set lies now; those of "
                 "its extraction are found where they still lie. Repeatable."),
]
Flag = Annotated[
    str, typer.Option("--flag", metavar="WORD", help="Only faces that carry this flag; `faces info` counts them.")
]
Person = Annotated[str, typer.Option(help="Only the faces of this person, where the faceset shows several.")]
Background = Annotated[bool, typer.Option("--background", help="Start the job and return; watch it with `jobs watch`.")]
