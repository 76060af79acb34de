"""Commands that only look: doctor, weights, faces, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facewright.cli import seen, show
from facewright.cli.arguments import Faceset
from facewright.cli.bind import Shown, command, group
from facewright.cli.made import BINDINGS
from facewright.core.errors import SettingRefused


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "doctor")(doctor)
    weights = group(app, "weights", "Pretrained nets: licences, sources, hashes; fetch, verify.")
    command(weights, "list")(weights_list)
    command(weights, "fetch")(weights_fetch)
    command(weights, "verify")(weights_verify)
    faces = group(app, "faces", "Look at a faceset and tend it.")
    command(faces, "info")(faces_info)
    command(faces, "consent")(faces_consent)
    command(faces, "forget-identity")(faces_forget)
    command(app, "verify")(verify)


def doctor() -> Shown:
    """Check this machine; every finding has a remedy.

    Python, torch, devices, encoders, pretrained nets, disk, memory, and the largest practical model.
    """
    from facewright import api

    report = api.doctor()

    def text() -> None:
        for finding in report.findings:
            show.result(f"{finding.state:4}  {finding.name}: {finding.text}")
            if finding.remedy:
                show.result(f"      -> {finding.remedy}")

    return Shown(report.as_dict(), text, 2 if report.state == "fail" else 0)


def weights_list() -> Shown:
    """Every net: purpose, licence, training data, and whether it is here."""
    from facewright import api

    rows = api.weights_list()

    return Shown(rows, lambda: seen.weights(rows))


def weights_fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME ...]", help="Nets to fetch; none: all.")] = None,
    as_json: bool = False,
) -> Shown:
    """Bring nets to this machine; every file is checked by its sha256.

    An interrupted fetch goes on where it was. Without a network the error says which file to put where.
    """
    from facewright import api

    with show.Bar("weights", quiet=as_json) as bar:
        rows, failures = api.weights_fetch(names or [], on_event=bar.event)

    def text() -> None:
        if rows:
            show.table([[r["name"], r["path"]] for r in rows], ["net", "place"])
        for failure in failures:
            show.error(failure, as_json=False)

    data = {"fetched": rows, "failed": [f.as_dict() for f in failures]}
    return Shown(data, text, 2 if failures else 0)


def weights_verify() -> Shown:
    """Compare every net that is here with its sha256."""
    from facewright import api

    rows = api.weights_verify()
    bad = any(r["state"] == "damaged" for r in rows)
    return Shown(
        rows,
        lambda: show.table([[r["name"], r["state"], r["path"] or ""] for r in rows], ["net", "state", "place"]),
        2 if bad else 0,
    )


def faces_info(
    faceset: Annotated[
        Path | None, typer.Argument(metavar="[FACESET]", help="Folder of a faceset; left out: both of the project.")
    ] = None,
) -> Shown:
    """What a faceset holds: people, films, consent, poses.

    Poses: yaw is the turn to the side, pitch the nod. What the source never shows, the swap cannot learn.
    """
    from facewright import api
    from facewright.project import here_or_refuse

    folders = [faceset] if faceset is not None else here_or_refuse("FACESET").facesets()
    infos = [api.faces_info(folder) for folder in folders]

    def text() -> None:
        for info in infos:
            seen.faceset(info)

    return Shown(infos if len(infos) > 1 else infos[0], text)


def faces_consent(
    faceset: Faceset,
    record: Annotated[str, typer.Argument(metavar="RECORD", help="Reference, id or name of a record.")],
    person: Annotated[str, typer.Option(help="Whose faces, where the faceset shows several people.")] = "",
) -> Shown:
    """Tie a faceset to the consent record of its person.

    Where the record is bound to a face and the identity net is at hand, the faces must be that person's.
    """
    from facewright import api

    done = api.faces_consent(faceset, record, person)
    whose = done["person"] or done["record"]
    text = f"{show.name_of(faceset)} names the record of {whose}; {BINDINGS[done['binding']]}."
    return Shown(done, lambda: show.result(text))


def faces_forget(faceset: Faceset) -> Shown:
    """Delete a faceset's identity vectors (biometric data).

    They are made again only when a step needs them.
    """
    from facewright import api

    done = api.faces_forget_identity(faceset)
    return Shown(done, lambda: show.facts(done))


def verify(file: Annotated[Path, typer.Argument(metavar="FILE", help="A film or picture.")]) -> Shown:
    """Was this file made by facewright, and is it unaltered?

    Exit code 0 genuine, 1 altered, 3 no trace.
    """
    from facewright import api

    if not file.exists():
        raise SettingRefused(f"There is no file {file.name}.", remedy="Check the path.", where=file)
    verdict = api.verify(file)
    known = {row["reference"]: row for row in api.consent_list()}
    status = {"genuine": 0, "altered": 1, "none": 3}[verdict["state"]]
    return Shown(verdict, lambda: seen.verdict(file, verdict, known), status)
