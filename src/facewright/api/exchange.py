"""Verbs that bring models of other programs here and hand ours out. Each asks the gate and leaves a ledger entry.

The entry is written when all is written aside and before anything appears: killed in between, it names a file that
is not there; no file is without its entry.

A face that was learned elsewhere is not seen by importing its model: the user says whose it is, by its record, and
the model is bound to that record from then on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewright.api.trust import ledger_of, permit_at, store_of, trust_at
from facewright.core.errors import ConsentRefused, FileRefused, Mismatch, SettingRefused
from facewright.core.step import Likeness
from facewright.project import run_place

if TYPE_CHECKING:
    from facewright.models.dfl_read import ForeignModel
    from facewright.models.exchange import Enter, Exported
    from facewright.provenance.permit import Permit


def model_import_dfl(
    folder: Path, run: Path, *, name: str = "", archi: str = "", face_type: str = "", records: Sequence[str] = (),
) -> dict[str, Any]:
    """A DeepFaceLab model folder -> a new RUN. `records`: whose faces it learned, by reference, id or name.

    Raises ConsentRefused without a record of the source's person. A model in pretraining needs none: it then leaves
    pretraining on the way in, which makes it forget people. XSeg shows nobody.
    """
    from facewright.models.dfl_files import CLASS_OF_NET
    from facewright.models.dfl_read import read_dfl
    from facewright.training.adopt import adopt, without_pretraining

    run = run_place(run)
    model = read_dfl(folder, name, archi=archi, face_type=face_type)
    if model.pretraining and not records and model.net != "xseg":
        model, people = without_pretraining(model), []
    else:
        people = _people(run, records, folder, model)
    free = model.net == "xseg" or not people
    permit = permit_at(run, "label" if free else "train", [] if free else people)
    facts = {"net": model.net, "iteration": str(model.iteration), "class": CLASS_OF_NET[model.net]}
    done = adopt(model, run, [_entry(one) for one in people],
                 lambda: note(run, "model.imported", permit, run.name, facts))
    return {
        "run": str(run), "net": model.net, "model": model.name, "iteration": done.iteration,
        "shape": model.settings.model_dump(), "optimiser": model.optimiser.kind if model.optimiser else "",
        "adversaries": sorted(model.adversaries), "losses": len(model.losses), "records": list(permit.records),
        "notes": list(done.notes),
    }


def model_export_dfl(run: Path, folder: Path, *, name: str = "") -> dict[str, Any]:
    """A run -> files that DeepFaceLab goes on training from. Every face it learned needs a record with export_model."""
    from facewright.models.exchange import export_dfl
    from facewright.training.adopt import original_words

    run = run_place(run)
    permit = leave(run)
    done = export_dfl(run, folder, permit=permit, enter=entry_of(run, permit), words=original_words, name=name)
    return _handed_out(run, permit, done)


def model_export_dfm(run: Path, file: Path, *, half: bool = False) -> dict[str, Any]:
    """A run -> one ONNX file (.dfm; XSeg: .onnx), checked against torch before it appears. Every face that the run
    learned needs a record with export_model."""
    from facewright.models.exchange import export_onnx

    run = run_place(run)
    permit = leave(run)
    return _handed_out(run, permit, export_onnx(run, file, permit=permit, enter=entry_of(run, permit), half=half))


def model_import_dfm(file: Path, *, records: Sequence[str], face_type: str = "whole_face") -> dict[str, Any]:
    """Say whose face a DFM file of another program makes, and which part of the head: a note is put beside it, with
    which merges take it in the place of a RUN. Raises ConsentRefused, FileRefused."""
    from facewright.faces.face import FaceType
    from facewright.faces.settings import FACE_TYPES
    from facewright.models.dfm_facts import write_note
    from facewright.models.onnx_read import read_onnx

    face_type = FACE_TYPES.get(face_type, face_type)
    if face_type not in list(FaceType):
        raise SettingRefused(
            f"There is no face type {face_type!r}.", remedy=f"Choose one of: {', '.join(FACE_TYPES.values())}.",
            where="--face-type",
        )
    if not file.is_file():
        raise FileRefused(f"There is no file {file}.", remedy="Correct the path.", where=file)
    if file.suffix.lower() != ".dfm":
        raise FileRefused(f"{file.name} is no DFM file.", remedy="Give a file that ends in .dfm.", where=file)
    known = read_onnx(file, "DFM")
    if known.facts.get("likenesses"):
        raise Mismatch(
            f"{file.name} says itself whose face it makes.",
            why="facewright exported it, with the records of its people.", remedy="Use it as it is.", where=file,
        )
    people = _people(file, records, file)
    permit = permit_at(file, "train", people)
    note(file, "model.imported", permit, file.name, {"net": "dfm", "sha256": known.sha256})
    written = write_note(file, known.sha256, face_type, [_entry(one) for one in people])
    return {"file": str(file), "note": str(written), "face_type": face_type, "records": list(permit.records)}


def _people(place: Path, records: Sequence[str], where: Path, model: ForeignModel | None = None) -> list[Likeness]:
    """One likeness a record, in the role that the record gives. Raises ConsentRefused: no source person among them."""
    from facewright.provenance.new import consent_command

    if model is not None and model.net == "xseg":
        return []
    store, people = store_of(trust_at(place)), []
    for text in records:
        found = store.get(text)
        role = found.role if found.role != "synthetic" else "source_likeness"
        people.append(Likeness(role, found.reference, found.name, where.absolute()))
    if not any(one.role == "source_likeness" for one in people):
        raise ConsentRefused(
            f"It is not known whose face {where.name} puts in.",
            why="A model cannot be looked at to see whom it learned; their record of consent must be named.",
            remedy=f"Name it with --record, or make it first: {consent_command('source_likeness')}", where=where,
        )
    return people


def _entry(one: Likeness) -> dict[str, Any]:
    """A likeness as run.json keeps it; films are not known."""
    return {
        "role": one.role, "consent": one.consent, "person": one.person, "where": str(one.where),
        "footage_sha256": list(one.footage_sha256),
    }


def leave(run: Path, use: str = "export_model") -> Permit:
    """The gate's leave for `use` of a run's net, from everybody whose face it learned; faces that are still at hand are
    compared with their records.

    Raises ConsentRefused.
    """
    from facewright.merge.result import likeness_from
    from facewright.models.exchange import MASK_STAGE, likenesses_of

    people = [likeness_from(entry) for entry in likenesses_of(run)]
    return permit_at(run, use if people else MASK_STAGE, people)


def entry_of(run: Path, permit: Permit) -> Enter:
    """Writes the ledger's entry: files of these names and digests hold the run's net as it was at an iteration."""

    def enter(iteration: int, digests: Mapping[str, str]) -> None:
        files = sorted([spelled(name), digest] for name, digest in digests.items())
        note(run, "model.exported", permit, run.name, {"iteration": str(iteration), "files": files})

    return enter


def _handed_out(run: Path, permit: Permit, done: Exported) -> dict[str, Any]:
    return {
        "run": str(run), "files": [str(file) for file in done.files], "iteration": done.iteration,
        "difference": done.difference, "records": list(permit.records), "notes": list(done.notes),
    }


def note(place: Path, kind: str, permit: Permit, name: str, facts: dict[str, Any]) -> None:
    """An entry in the ledger of `place`, with the permit."""
    from facewright import __version__

    given = {key: value for key, value in permit.as_dict().items() if key not in ("permit", "created")}
    ledger_of(trust_at(place)).append(kind, {"name": spelled(name), "permit": given, "version": __version__, **facts})


def spelled(text: str) -> str:
    """Names as the ledger spells them, whatever a disk allows."""
    return text.encode("ascii", "backslashreplace").decode()
