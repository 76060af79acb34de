"""Commands of consent and provenance: consent, ledger."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from facewright.cli import show
from facewright.cli.bind import Shown, command, group
from facewright.core.errors import ConsentRefused

Record = Annotated[str, typer.Argument(metavar="RECORD", help="Reference, id or name of a record.")]


def register(app: typer.Typer) -> None:
    """Add this file's commands."""
    consent = group(app, "consent", "Records of who agreed to what; training and merging refuse without one.")
    command(consent, "new")(consent_new)
    command(consent, "list")(consent_list)
    command(consent, "show")(consent_show)
    command(consent, "check")(consent_check)
    command(consent, "revoke")(consent_revoke)
    ledger = group(app, "ledger", "The append-only log of what was done.")
    command(ledger, "show")(ledger_show)
    command(ledger, "verify")(ledger_verify)


def consent_new(
    who: Annotated[str, typer.Option(help="me | adult | protect | invented | test-footage")] = "",
    role: Annotated[str, typer.Option(help="source_likeness (face put in) or target_performer (face replaced).")] = "",
    name: Annotated[str, typer.Option(help="The person's name or stage name.")] = "",
    use: Annotated[str, typer.Option(help="What it is for: a description of at least 40 characters.")] = "",
    proof: Annotated[str, typer.Option(help="Path of the signed release, or `now` to declare it here.")] = "",
    uses: Annotated[str, typer.Option(help="Comma list of train, preview, merge, export_model.")] = "",
    until: Annotated[str, typer.Option(help="Last day, YYYY-MM-DD; default in one year.")] = "",
    media: Annotated[list[Path] | None, typer.Option(help="Films this record is limited to (repeatable).")] = None,
    faceset: Annotated[Path | None, typer.Option(help="Faceset to bind to this record by identity vectors.")] = None,
    adult: Annotated[bool, typer.Option("--adult", help="Declare that the person is 18 or older.")] = False,
) -> Shown:
    """Record a person's consent: whose face, what for, what proof."""
    from facewright import api

    who, name, use, proof, adult = _ask(who, name, use, proof, adult)
    made = api.consent_new(
        who=who, role=role, name=name, use=use, proof=proof, uses=tuple(u for u in uses.split(",") if u), until=until,
        media=tuple(media or ()), faceset=faceset, adult=adult,
    )
    return Shown(made, lambda: show.facts(made))


def _ask(who: str, name: str, use: str, proof: str, adult: bool) -> tuple[str, str, str, str, bool]:
    """The three questions, asked only at a terminal and only when not answered by options."""
    if who and use and proof:
        return who, name, use, proof, adult
    if not sys.stdin.isatty():
        missing = [flag for flag, value in (("--who", who), ("--use", use), ("--proof", proof)) if not value]
        raise ConsentRefused(
            f"The record is not complete: {', '.join(missing)} missing.",
            remedy='facewright consent new --who adult --name "NAME" --adult --role source_likeness '
                   '--use "what the face is used for, in at least 40 characters" --proof release.pdf',
        )
    who = who or typer.prompt("1 Whose face? me / adult (who agreed) / protect / invented", default="adult", err=True)
    if who in {"me", "adult"} and not name:
        name = typer.prompt("  Name or stage name", err=True)
        adult = adult or typer.confirm("  Is this person 18 or older?", err=True)
    use = use or typer.prompt("2 What for? One line, at least 40 characters", err=True)
    proof = proof or typer.prompt("3 Proof? Path of the signed release, or `now` to sign one here", err=True)
    return who, name, use, proof, adult


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
    return Shown(done, lambda: show.facts(done))


def consent_revoke(
    record: Record, reason: Annotated[str, typer.Option(help="Why: withdrawn, expired, mistake, dispute.")] = "withdrawn"
) -> Shown:
    """Withdraw consent: every use is denied from now on."""
    from facewright import api

    done = api.consent_revoke(record, reason)
    return Shown(done, lambda: show.facts(done))


def ledger_show(last: Annotated[int, typer.Option(help="How many entries from the end; 0 = all.")] = 20) -> Shown:
    """What was done, newest last."""
    from facewright import api

    entries = api.ledger_show(last)

    def text() -> None:
        show.table([[e["seq"], e["ts"], e["type"], _short(e["body"])] for e in entries], ["seq", "time", "type", "what"])

    return Shown(entries, text)


def _short(body: dict[str, Any]) -> str:
    return ", ".join(f"{k} {str(v)[:24]}" for k, v in body.items())[:100]


def ledger_verify() -> Shown:
    """Check every link of the chain."""
    from facewright import api

    report = api.ledger_verify()
    return Shown(report, lambda: show.facts(report), 0 if report["state"] == "whole" else 2)
