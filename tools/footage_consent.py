"""Give shipped films of invented people their records, signed by a key that nobody keeps.

    python tools/footage_consent.py \\
        --clip src/facewright/footage/source.mp4 "Head A of the demo: drawn by a program, nobody real." \\
        --clip src/facewright/footage/target.mp4 "Head B of the demo: drawn by a program, nobody real."

A fresh key signs one record per film (role synthetic, for that film's SHA-256 alone, in any project), the envelopes
go beside the films as `<stem>.consent.json`, the public half into provenance/pinned.json. The private half is never
written and ends with this process: no further record can ever be signed by it. Run again after a film has changed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from facewright.core.errors import FacewrightError, FileRefused
from facewright.core.files import sha256_of, write_atomic
from facewright.core.ulid import new_ulid
from facewright.provenance.consent import SCHEMA, USES, open_record, sign
from facewright.provenance.keys import Key, fresh_key
from facewright.provenance.moment import stamp
from facewright.provenance.store import PACKAGE

FIRST, AFTER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Nobody can withdraw for a drawn head, and a fresh machine's clock may be years off: the term is wide."""


def envelope(clip: Path, description: str, key: Key) -> bytes:
    """The signed record of one film. Raises FileRefused (no such film), ConsentRefused (description too short)."""
    data = {
        "schema": SCHEMA, "id": new_ulid(datetime.now(UTC)), "role": "synthetic", "basis": "synthetic",
        "subject": {"ref": clip.stem, "name": f"synthetic {clip.stem}"},
        "scope": {
            "projects": ["*"], "uses": sorted(USES), "media": [sha256_of(clip)], "description": description,
            "sexual_content": False, "alter_speech": False,
        },
        "term": {"from": stamp(FIRST), "until": stamp(AFTER)}, "evidence": [], "adult_declared": True,
        "issuer": key.issuer,
    }
    signed = sign(data, key)
    open_record(signed)
    return signed


def issue(clips: Sequence[tuple[Path, str]], pinned: Path) -> list[Path]:
    """Sign all, write the envelopes beside their films, pin the key; returns the envelopes' paths.

    Keys that sign no envelope in these folders any more are dropped from the pinned list.
    """
    if len({(clip.parent, clip.stem) for clip, _ in clips}) != len(clips):
        raise FileRefused("Two films of one folder share a name.", remedy="Give each film a name of its own.")
    key = fresh_key()
    made = {clip.with_suffix(".consent.json"): envelope(clip, description, key) for clip, description in clips}
    for path, signed in made.items():
        write_atomic(path, signed)
    folders = {path.parent for path in made}
    there = [open_record(path.read_bytes()) for folder in folders for path in folder.glob("*.consent.json")]
    used = sorted({record.data["issuer"]["pub"] for record in there})
    body = {"format": "facewright.pinned/1", "keys": [{"alg": "Ed25519", "pub": pub} for pub in used]}
    write_atomic(pinned, (json.dumps(body, indent=1) + "\n").encode())
    return list(made)


def main(words: Sequence[str] | None = None) -> int:
    """0 when every film has its record; 2 and one line otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", nargs=2, action="append", required=True, metavar=("FILM", "DESCRIPTION"))
    parser.add_argument("--pinned", type=Path, default=PACKAGE / "provenance" / "pinned.json")
    given = parser.parse_args(words)
    try:
        made = issue([(Path(film), description) for film, description in given.clip], given.pinned)
    except FacewrightError as error:
        print(f"{error.what} {error.why} {error.remedy}", file=sys.stderr)
        return 2
    for path in made:
        print(f"{path}  {open_record(path.read_bytes()).reference}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
