"""Commands of consent and provenance: consent, ledger."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from facewright.cli import made, seen, show
from facewright.cli.bind import Shown, command, group
from facewright.core.errors import ConsentRefused

Record = Annotated[str, typer.Argument(metavar="RECORD", help="Reference, id or name of a record.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    consent = group(app, "consent", "Records of who agreed to what; work on a face needs one.")
    command(consent, "new")(consent_new)
    command(consent, "list")(consent_list)
    command(consent, "show")(consent_show)
    command(consent, "check")(consent_check)
    command(consent, "revoke")(consent_revoke)
    ledger = group(app, "ledger", "The append-only log of what was done.")
    command(ledger, "show")(ledger_show)
    command(ledger, "verify")(ledger_verify)


def consent_new(
    who: Annotated[
        str, typer.Option(help="Whose face: me | adult (who agreed) | invented (nobody) | test-footage (listed clips).")
    ] = "",
    use: Annotated[str, typer.Option(help="What it is for: film, scene, what is done; at least 40 characters.")] = "",
    proof: Annotated[str, typer.Option(help="Path of the signed release, or `now` to declare it here.")] = "",
    name: Annotated[str, typer.Option(help="The person's name or stage name.")] = "",
    adult: Annotated[
        bool | None, typer.Option("--adult/--not-adult", help="The person shown is 18 or older and agreed.")
    ] = None,
    role: Annotated[
        str,
        typer.Option(
            help="source_likeness (face put in) or target_performer (face replaced). [default source_likeness]",
            show_default=False,
        ),
    ] = "source_likeness",
    uses: Annotated[
        str,
        typer.Option(
            help="List with commas: train, preview, merge, export_model, distribute. [default the first three]"
        ),
    ] = "",
    days: Annotated[
        int, typer.Option(help="How long it is valid, from now. [1..3650 days; default 365]", show_default=False)
    ] = 365,
    project: Annotated[str, typer.Option(help="Project it is for; default: this one.")] = "",
    media: Annotated[list[Path] | None, typer.Option(help="Film it is limited to (repeatable).")] = None,
    faceset: Annotated[
        Path | None, typer.Option(help="Faceset of this person: it names the record, bound by identity vectors.")
    ] = None,
    person: Annotated[str, typer.Option(help="Whose faces of that faceset, where it shows several people.")] = "",
) -> Shown:
    """Record a person's consent: whose face, what for, what proof."""
    from facewright import api

    who, use, proof, name, adult = _ask(who, use, proof, name, adult)
    made = api.consent_new(
        who=who,
        use=use,
        proof=proof,
        name=name,
        adult_agreed=adult,
        role=role,
        project=project,
        days=days,
        uses=tuple(u.strip() for u in uses.split(",") if u.strip()),
        media=tuple(media or ()),
        faceset=faceset,
        person=person,
    )
    return Shown(made, lambda: _recorded(made, faceset))


ROLES = {
    "source_likeness": "the face that is put in", "target_performer": "the face that is replaced",
    "synthetic": "a face of nobody",
}  # fmt: skip


def _recorded(record: dict[str, Any], faceset: Path | None) -> None:
    """What was recorded, where it lies, how it is withdrawn."""
    role = f"{record['role']}, {ROLES.get(record['role'], '')}"
    show.result(f"Recorded: consent of {record['person'] or 'the person'} ({role}), until {record['until']}.")
    rows = {
        "allows": record["uses"], "kept in": show.name_of(record["kept in"]),
        "page": f"{show.name_of(record['page'])} (print it, have it signed, keep it)" if record["page"] else "",
        "faceset": f"{show.name_of(faceset)} names this record" if faceset is not None else "",
        "binding": _BINDING[record["binding"]] if record["binding"] in _BINDING else record["binding"],
        "id": record["id"],
    }
    show.facts({f"  {key}": text for key, text in rows.items() if text})
    show.result(f"To withdraw it: {record['withdraw with']}")


_BINDING = {
    "made": "the record holds a commitment to this face; training and merging compare",
    "none": "to no faces yet: `facewright faces consent FACESET RECORD`",
}


def _ask(who: str, use: str, proof: str, name: str, adult: bool | None) -> tuple[str, str, str, str, bool | None]:
    """The three questions, asked only at a terminal and only when not answered by options."""
    if (who and use and proof) or not sys.stdin.isatty():
        missing = [flag for flag, value in (("--who", who), ("--use", use), ("--proof", proof)) if not value]
        if missing:
            raise ConsentRefused(
                f"The record is not complete: {', '.join(missing)} missing.",
                remedy="facewright consent new --who adult --adult --name NAME "
                '--use "FILM, SCENE AND WHAT IS DONE" --proof RELEASE.pdf',
            )
        return who, use, proof, name, adult
    who = who or typer.prompt("1 Whose face? me / adult (who agreed) / protect / invented", default="adult", err=True)
    if who in {"me", "adult"} and not name:
        name = typer.prompt("  Name or stage name", err=True)
    if adult is None:
        adult = typer.confirm("  Is the person shown 18 or older, and did they agree?", err=True)
    use = use or typer.prompt("2 What for? Film, scene and what is done (at least 40 characters)", err=True)
    proof = proof or typer.prompt("3 Proof? Path of the signed release, or `now` to sign one here", err=True)
    return who, use, proof, name, adult


def consent_list() -> Shown:
    """All records known here."""
    from facewright import api

    rows = api.consent_list()
    heads = ["id", "person", "role", "basis", "until", "state"]
    return Shown(rows, lambda: show.table([[r[h] for h in heads] for r in rows], heads))


def consent_show(record: Record) -> Shown:
    """One record, whole."""
    from facewright import api

    data = api.consent_show(record)
    return Shown(data, lambda: show.document(data))


def consent_check(
    record: Record,
    use: Annotated[str, typer.Option(help="train, preview, merge or export_model.")] = "train",
) -> Shown:
    """Is this record valid now, here, for this use?"""
    from facewright import api

    done = api.consent_check(record, use)
    whose = done["person"] or done["id"]
    return Shown(done, lambda: show.result(f"Valid: the record of {whose} allows {use} here and now."))


def consent_revoke(
    record: Record,
    reason: Annotated[str, typer.Option(help="Why: withdrawn, expired, mistake, dispute.")] = "withdrawn",
) -> Shown:
    """Withdraw consent: every use is denied from now on.

    The identity vectors of faces under the record are erased, and what its binding compares with is set aside. What
    stands on the record is named: facesets, films and models of the project, also what lies in a trash, was handed out
    (models, faces) or brought here. What becomes of it is yours to do.
    """
    from facewright import api

    done = api.consent_revoke(record, reason)

    def text() -> None:
        show.result(f"Revoked: the record of {done['person'] or done['id']}. {done['note']}")
        names = {"  facesets": done["facesets"], "  models": done["models"], "  in the trash": [*done["trashed"], *(
            f"{made.count(one['faces'], 'face')} of {one['faceset']}" for one in done["faces_trashed"])],
                 "  handed out or brought here": _names(done["copies"]), "  not readable": done["unread"]}
        show.facts({what: ", ".join(found) for what, found in names.items() if found})
        if done["films"]:
            show.result(f"  {made.count(len(done['films']), 'film')} signed with it (--json has the digests)")
        made.following(*(f"facewright model delete {made.quoted(name)}" for name in done["models"]),
                       *(f"facewright model trash empty {made.quoted(name)}" for name in done["trashed"]),
                       *(f"facewright faces trash empty {made.quoted(one['folder'])} {made.quoted(one['operation'])}"
                         for one in done["faces_trashed"]))

    return Shown(done, text)


def _names(copies: list[dict[str, Any]]) -> list[str]:
    return [f"{one['name']} ({one['deed']}{': ' if one['files'] else ''}{', '.join(one['files'])})" for one in copies]


def ledger_show(last: Annotated[int, typer.Option(help="How many entries from the end; 0 = all.")] = 20) -> Shown:
    """What was done, newest last."""
    from facewright import api

    entries = api.ledger_show(last)

    return Shown(entries, lambda: seen.ledger(entries))


def ledger_verify() -> Shown:
    """Check every link of the chain."""
    from facewright import api

    report = api.ledger_verify()
    return Shown(report, lambda: seen.ledger_report(report), 0 if report["state"] == "whole" else 2)
