"""Commands of the group `model` that take models of other programs in and hand ours out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from facewright.cli import made, show
from facewright.cli.bind import Shown

Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the model, or its name in the project.")]
Records = Annotated[
    list[str] | None,
    typer.Option("--record", help="Consent record of a person whose face it learned: reference, id or name; may be "
                 "given several times, the source person's is needed."),
]  # fmt: skip
FaceTypeWord = Annotated[
    str, typer.Option(help="How much of the head it sees, where its files do not say: h, mf, f, wf, head.")
]


def import_dfl(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with DeepFaceLab's model files.")],
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the new model, or its name in the project.")],
    name: Annotated[str, typer.Option(help="Which model, where the folder holds several.")] = "",
    archi: Annotated[str, typer.Option(help="Its architecture, where its files do not say: for example df-ud.")] = "",
    face_type: FaceTypeWord = "",
    record: Records = None,
) -> Shown:
    """Take over a DeepFaceLab model: SAEHD, AMP, Quick96 or XSeg.

    Weights, optimiser, iteration, options and losses come along; faces kept in its files do not. Whose face it
    learned must be said by a record of consent; a model in pretraining leaves it on the way and needs none.
    """
    from facewright import api

    done = api.model_import_dfl(folder, run, name=name, archi=archi, face_type=face_type, records=record or [])
    return Shown(done, lambda: _imported(done))


def _imported(done: Mapping[str, Any]) -> None:
    run = done["run"]
    show.result(f"Took over {done['model']} ({done['net']}, iteration {done['iteration']:,}) as {show.name_of(run)}")
    shape = done["shape"]
    if shape:
        show.result("  shape: " + ", ".join(f"{key} {value}" for key, value in shape.items()))
    if done["optimiser"]:
        show.result(f"  with the memory of its optimiser ({done['optimiser']})")
    _notes(done)
    if done["net"] != "xseg":
        train = f"facewright train {done['net']} {made.quoted(run)} --src FACESET --dst FACESET"
        made.following(f"facewright merge INPUT FACESET {made.quoted(run)} OUT", train)


def export_dfl(
    run: Run,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for DeepFaceLab's model files.")],
    name: Annotated[
        str, typer.Option(help="The model's name there; without an underscore. [default the run's]")
    ] = "",
) -> Shown:
    """Write a model as DeepFaceLab's files, which it goes on training from.

    Every person whose face the model learned needs a record of consent that allows export_model.
    """
    from facewright import api

    done = api.model_export_dfl(run, folder, name=name)
    return Shown(done, lambda: _exported(done))


def export_dfm(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The .dfm file to write; .onnx for XSeg.")],
    half: Annotated[bool, typer.Option("--half", help="Convolutions in 16 bits: half the size.")] = False,
) -> Shown:
    """Write a model as one ONNX file for programs that swap faces live.

    It is compared with the model itself before it appears. Every person whose face the model learned needs a record
    of consent that allows export_model; the records' references are kept in the file.
    """
    from facewright import api

    done = api.model_export_dfm(run, file, half=half)
    return Shown(done, lambda: _exported(done))


def _exported(done: Mapping[str, Any]) -> None:
    files = [Path(file) for file in done["files"]]
    total = sum(file.stat().st_size for file in files) / 1e6
    where = files[0] if len(files) == 1 else files[0].parent
    many = "" if len(files) == 1 else f"{len(files)} files in "
    show.result(f"Wrote {many}{show.name_of(where)} ({total:.1f} MB, iteration {done['iteration']:,})")
    if done["difference"]:
        show.result(f"  checked: differs from the model by {done['difference']:.1g} at most")
    _notes(done)


def import_dfm(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .dfm file of another program.")],
    record: Records = None,
    face_type: FaceTypeWord = "wf",
) -> Shown:
    """Say whose face a DFM file makes, so that `merge` takes it in the place of a RUN.

    The file stays as it is; a note is put beside it.
    """
    from facewright import api

    done = api.model_import_dfm(file, records=record or [], face_type=face_type)
    return Shown(done, lambda: _noted(done))


def _noted(done: Mapping[str, Any]) -> None:
    show.result(f"Noted in {show.name_of(done['note'])}: {done['face_type']}, {', '.join(done['records'])}")
    made.following(f"facewright merge INPUT FACESET {made.quoted(done['file'])} OUT")


def _notes(done: Mapping[str, Any]) -> None:
    for text in done["notes"]:
        show.result(f"  {text}")


commands: dict[str, Callable[..., Shown]] = {
    "import-dfl": import_dfl, "export-dfl": export_dfl, "export-dfm": export_dfm, "import-dfm": import_dfm,
}  # fmt: skip
"""Name in the group `model` -> function, for `cli.bind.command`."""
