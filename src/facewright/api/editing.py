"""Verbs that give the faces of a set other pictures: another size or type, enhanced, back from an outside editor."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facewright.api.review import films_at_hand
from facewright.api.steering import OnEvent, perform, silent, telling
from facewright.core.errors import FacewrightError, SettingRefused
from facewright.core.settings import check


def faces_resize(
    faceset: Path, out: Path, *, settings: Mapping[str, Any], footage: Sequence[Path] = (), background: bool = False,
    on_event: OnEvent = silent,
) -> dict[str, Any]:
    """The faces at another size or of another type in the new set `out`: cut from frames where films are at hand."""
    from facewright.faceset.editing.resize import ResizeStep
    from facewright.faceset.editing.settings import ResizeSettings

    places = films_at_hand(faceset, footage).places()
    step = ResizeStep(str(faceset), str(out), check(ResizeSettings, dict(settings)), places)
    return perform(step, background=background, on_event=on_event)


def faces_enhance(
    faceset: Path, out: Path, *, enhancer: str = "detail", settings: Mapping[str, Any], background: bool = False,
    on_event: OnEvent = silent,
) -> dict[str, Any]:
    """The faces enhanced by a plug or a net's .onnx file, in the new set `out`; how far each drifted is reported."""
    from facewright.faceset.editing.enhance import EnhanceStep
    from facewright.faceset.editing.settings import EnhanceSettings

    step = EnhanceStep(str(faceset), str(out), enhancer, check(EnhanceSettings, dict(settings)))
    return perform(step, background=background, on_event=on_event)


def faces_collage_out(
    faceset: Path, pages: Path, *, settings: Mapping[str, Any], on_event: OnEvent = silent
) -> dict[str, Any]:
    """Lay the faces out on a few large PNG pages in the new folder `pages`."""
    from facewright.faceset.editing.collage import write_pages
    from facewright.faceset.editing.settings import CollageSettings

    plan = write_pages(faceset, pages, check(CollageSettings, dict(settings)), telling(on_event))
    return {"pages": plan.pages, "faces": len(plan.spots), "size_px": list(plan.size_px), "folder": str(pages)}


def faces_collage_in(
    pages: Path, faceset: Path, out: Path, *, settings: Mapping[str, Any], background: bool = False,
    on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Cut pages that were worked on back into faces, in the new set `out`."""
    from facewright.faceset.editing.collage import CollageInStep
    from facewright.faceset.editing.settings import ReplaceSettings

    step = CollageInStep(str(faceset), str(pages), str(out), check(ReplaceSettings, dict(settings)))
    return perform(step, background=background, on_event=on_event)


def faces_metadata_save(faceset: Path, file: Path) -> dict[str, Any]:
    """Keep all that the face files carry beside their pixels in one file."""
    from facewright.faceset.editing import metadata

    return {"file": str(file), "faces": metadata.save(faceset, file)}


def faces_metadata_restore(
    pictures: Path, known: Path, out: Path, *, settings: Mapping[str, Any], background: bool = False,
    on_event: OnEvent = silent,
) -> dict[str, Any]:
    """Pictures that an editor had, with their metadata again, in the new set `out`. known: the saved file, or the
    faceset they came from."""
    from facewright.faceset.editing.restore import RestoreStep
    from facewright.faceset.editing.settings import RestoreSettings

    step = RestoreStep(str(pictures), str(known), str(out), check(RestoreSettings, dict(settings)))
    return perform(step, background=background, on_event=on_event)


def faces_roundtrip(
    faceset: Path, out: Path, command: str, *, on_event: OnEvent = silent
) -> dict[str, Any]:
    """Give the faces to a program and take them back, in one step: `{in}` and `{out}` in its command line are folders
    of PNG pictures. How far each face drifted from whom it showed is reported. Raises SettingRefused (no such places,
    or no such program), FacewrightError (it failed)."""
    from facewright.core.files import make_folder, refuse_occupied, write_atomic
    from facewright.faceset.editing.enhance import drift
    from facewright.faceset.editing.restore import RestoreStep
    from facewright.faceset.editing.settings import RestoreSettings
    from facewright.faceset.faceset import Faceset
    from facewright.faceset.store import PRIVATE, refuse_place
    from facewright.media.stills import encode_still

    words = shlex.split(command)
    if not words or "{in}" not in command or "{out}" not in command:
        raise SettingRefused("The command must name {in} and {out}.",
                             remedy='Such as --command "upscale --from {in} --to {out}".', where=command)
    faces = Faceset.open(faceset)
    refuse_place(out, faceset)  # before the program has worked for hours
    refuse_occupied(out, "the faces", {PRIVATE}.__contains__)
    place = out.resolve() / PRIVATE / "outside"
    shutil.rmtree(place, ignore_errors=True)  # of a run that failed: our own copies
    given, taken = make_folder(place / "in"), make_folder(place / "out")
    rows, tell = list(faces.rows()), telling(on_event)
    for done, row in enumerate(rows, 1):
        write_atomic(given / f"{row.face_id}.png", encode_still(faces.image(row.face_id)), sync=False)
        tell(done, len(rows))
    _run([word.replace("{in}", str(given)).replace("{out}", str(taken)) for word in words])
    step = RestoreStep(str(taken), str(faceset), str(out), RestoreSettings(known_by="name"))
    answer = perform(step, background=False, on_event=on_event)
    shutil.rmtree(place, ignore_errors=True)
    return answer | {"from": str(faceset)} | drift(faces, Faceset.open(out))


def _run(words: list[str]) -> None:
    try:
        done = subprocess.run(words, capture_output=True, check=False)
    except OSError as error:
        raise SettingRefused(f"{words[0]} cannot be run.", why=str(error), remedy="Check its name and place.",
                             where=words[0]) from error
    if done.returncode:
        tail = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise FacewrightError(f"{Path(words[0]).name} ended with {done.returncode}.", why=(tail or [""])[0][:300],
                              remedy="Correct the command; the faceset is as it was.", where=words[0])
