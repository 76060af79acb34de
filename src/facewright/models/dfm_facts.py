"""What an exported net says of itself: face type, origin, and whose records of consent it stands on. No names of
people; and what its inputs and outputs are called.

In files of this house it is ONNX metadata; beside files of others lies a note `<file>.facewright.json`, made when
somebody says whose face they hold. Imports nothing heavy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facewright.core.errors import FileRefused
from facewright.core.files import read_file, write_atomic

FACE, MORPH = "in_face:0", "morph_value:0"
OUTPUTS = ("out_face_mask:0", "out_celeb_face:0", "out_celeb_face_mask:0")
"""Mask of the target's own face, the swapped face, its mask."""
MASK = "out_mask:0"
"""The one output of a net of masks."""

PREFIX = "facewright."
NOTE = ".facewright.json"
_FORMAT = 1
_LIMIT_BYTES = 1 << 20
_KEYS = {"role": str, "consent": str, "person": str, "where": str, "footage_sha256": list}


def to_metadata(facts: Mapping[str, Any], likenesses: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Facts and likenesses as ONNX metadata. Records are kept by reference; persons and places stay at home."""
    kept = [{key: one[key] for key in ("role", "consent", "footage_sha256")} for one in likenesses]
    records = " ".join(dict.fromkeys(one["consent"] for one in kept if one["consent"]))
    texts = {key: str(value) for key, value in facts.items()}
    return {PREFIX + key: text for key, text in {**texts, "records": records, "likenesses": json.dumps(kept)}.items()}


def from_metadata(metadata: Mapping[str, str], file: Path) -> dict[str, Any]:
    """The reverse: facts as text, `likenesses` as merges read them; {} for a file of others. Raises FileRefused."""
    facts: dict[str, Any] = {k.removeprefix(PREFIX): v for k, v in metadata.items() if k.startswith(PREFIX)}
    if facts:
        facts["likenesses"] = _likenesses(facts.get("likenesses", "[]"), file)
    return facts


def write_note(file: Path, sha256: str, face_type: str, likenesses: Sequence[Mapping[str, Any]]) -> Path:
    """Say beside a foreign file whose face it holds. Raises DiskRefused."""
    note = file.with_name(file.name + NOTE)
    content = {"format": _FORMAT, "sha256": sha256, "face_type": face_type, "likenesses": list(likenesses)}
    write_atomic(note, json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")
    return note


def read_note(file: Path, sha256: str) -> dict[str, Any]:
    """What the note beside a file says, {} without one. Raises FileRefused: damaged, or of another file."""
    note = file.with_name(file.name + NOTE)
    if not note.is_file():
        return {}
    try:
        content = json.loads(read_file(note, limit_bytes=_LIMIT_BYTES))
        fits, face_type = content["format"] <= _FORMAT and content["sha256"] == sha256, str(content["face_type"])
    except (ValueError, KeyError, TypeError) as error:
        raise FileRefused(
            f"{note.name} is damaged.", why=str(error), remedy="Make it again with `facewright model import-dfm`.",
            where=note,
        ) from error
    if not fits:
        raise FileRefused(
            f"{note.name} is about another file.", why=f"{file.name} was changed or replaced since.",
            remedy="Say anew whose face it holds: `facewright model import-dfm`.", where=note,
        )
    return {"face_type": face_type, "likenesses": _likenesses(content.get("likenesses"), file)}


def _likenesses(value: Any, file: Path) -> list[dict[str, Any]]:
    """Entries with all keys of the right kind. Raises FileRefused."""
    try:
        entries = json.loads(value) if isinstance(value, str) else value
        whole = [{"person": "", "where": str(file.absolute()), **entry} for entry in entries]
        good = all(isinstance(entry[key], kind) for entry in whole for key, kind in _KEYS.items())
    except (ValueError, KeyError, TypeError):
        good, whole = False, []
    if not good:
        raise FileRefused(
            f"{file.name} does not say properly whose face it holds.",
            remedy="Export it again, or say it with `facewright model import-dfm`.", where=file,
        )
    return whole
