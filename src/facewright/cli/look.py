"""Commands that only look: doctor, weights, faces, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from facewright.cli import show
from facewright.cli.bind import Shown, command, group
from facewright.core.errors import SettingRefused

Faceset = Annotated[Path, typer.Argument(metavar="FACESET", help="Folder of a faceset.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app, "doctor")(doctor)
    weights = group(app, "weights", "Pretrained nets: licences, sources, hashes; fetch and verify them.")
    command(weights, "list")(weights_list)
    command(weights, "fetch")(weights_fetch)
    command(weights, "verify")(weights_verify)
    faces = group(app, "faces", "Look at a faceset and tend it.")
    command(faces, "info")(faces_info)
    command(faces, "consent")(faces_consent)
    command(faces, "forget-identity")(faces_forget)
    command(app, "verify")(verify)


def doctor() -> Shown:
    """Check Python, torch, devices, encoders, nets, disk and memory; every finding has a remedy."""
    from facewright import api

    report = api.doctor()

    def text() -> None:
        for finding in report.findings:
            show.result(f"{finding.state:4}  {finding.name}: {finding.text}")
            if finding.remedy:
                show.result(f"      -> {finding.remedy}")

    return Shown(report.as_dict(), text, 2 if report.state == "fail" else 0)


def weights_list() -> Shown:
    """Every pretrained net: what for, licence, what it was trained on, whether it is here."""
    from facewright import api

    rows = api.weights_list()

    def text() -> None:
        for row in rows:
            place = row["path"] or "not here"
            show.result(f"{row['name']}: {row['used_for']}")
            show.facts(
                {
                    "  file": f"{row['file']} ({row['bytes']:,} bytes)",
                    "  sha256": row["sha256"],
                    "  licence": row["licence"],
                    "  trained on": row["training_data"],
                    "  reservations": row["reservations"] or "none known",
                    "  place": place,
                }
            )

    return Shown(rows, text)


def weights_fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME ...]", help="Nets to fetch; none: all.")] = None,
    as_json: bool = False,
) -> Shown:
    """Bring nets to this machine, resumably; every file is checked by its sha256."""
    from facewright import api

    with show.Bar("weights", quiet=as_json) as bar:
        rows, failures = api.weights_fetch(names or [], on_event=bar.event)

    def text() -> None:
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


def faces_info(faceset: Faceset) -> Shown:
    """Count, types, sizes, frames, pose coverage, sharpness, labels, masks, persons, consent."""
    from facewright import api

    info = api.faces_info(faceset)
    return Shown(info, lambda: _info_text(info))


def _info_text(info: dict[str, Any]) -> None:
    show.facts({k: v for k, v in info.items() if not isinstance(v, dict | list)})
    for key, value in info.items():
        if isinstance(value, dict) and value:
            show.result(f"{key}:")
            show.facts({f"  {k}": v for k, v in value.items()})
        elif isinstance(value, list) and value and isinstance(value[0], list):
            show.result(f"{key}:")
            for row in value:
                show.result("  " + " ".join(f"{cell:>5}" for cell in row))
        elif isinstance(value, list) and value:
            show.result(f"{key}: " + ", ".join(str(v) for v in value))


def faces_consent(
    faceset: Faceset,
    record: Annotated[str, typer.Argument(metavar="RECORD", help="Reference, id or name of a record.")],
) -> Shown:
    """Tie a faceset to the consent record of the person it shows (checked by identity vectors where possible)."""
    from facewright import api

    done = api.faces_consent(faceset, record)
    return Shown(done, lambda: show.facts(done))


def faces_forget(faceset: Faceset) -> Shown:
    """Delete the identity vectors (biometric data) of a faceset; they are made again only when needed."""
    from facewright import api

    done = api.faces_forget_identity(faceset)
    return Shown(done, lambda: show.facts(done))


def verify(file: Annotated[Path, typer.Argument(metavar="FILE", help="A film or picture.")]) -> Shown:
    """Does this file carry facewright's trace, and is it unaltered? Exit code 0 genuine, 1 altered, 3 no trace."""
    from facewright import api

    if not file.exists():
        raise SettingRefused(f"There is no file {file.name}.", remedy="Check the path.", where=file)
    verdict = api.verify(file)
    return Shown(verdict, lambda: show.facts(verdict), {"genuine": 0, "altered": 1, "none": 3}[verdict["state"]])
