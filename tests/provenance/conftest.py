"""A fixed clock, a fixed key, a store without shipped records."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from facewright.provenance.keys import Key, machine_key
from facewright.provenance.store import ConsentStore

FILM = "a1" * 32


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def key() -> Key:
    """The key of the specification's vectors: seed bytes 00..1f."""
    return Key(bytes(range(32)))


@pytest.fixture
def own_key() -> Key:
    """This (private, temporary) installation's key."""
    return machine_key()


@pytest.fixture
def store(tmp_path: Path) -> ConsentStore:
    pinned = tmp_path / "pinned.json"
    pinned.write_text('{"format": "facewright.pinned/1", "keys": []}')
    return ConsentStore(tmp_path / "store", shipped=tmp_path / "shipped", pinned=pinned)


@pytest.fixture
def record_data(own_key: Key) -> dict[str, Any]:
    """A whole valid record, to be changed by a test."""
    return copy.deepcopy({
        "schema": "facewright.consent/1", "id": "01J9Z3K4QW8VX2N6T5R7M0ABCD", "role": "source_likeness",
        "subject": {"name": "Zoë Example", "ref": "S-001"}, "basis": "contract",
        "scope": {
            "projects": ["film-a"], "uses": ["merge", "preview", "train"], "sexual_content": False,
            "description": "Film A, scene 12: her face on the stunt double on the roof.",
        },
        "term": {"from": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"},
        "evidence": [{"bytes": 12345, "kind": "signed_release", "sha256": "0" * 64}], "adult_declared": True,
        "issuer": own_key.issuer,
    })
