"""The set's rights: nobody is shown. The head model's licence and a signed record of what is allowed lie with it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.footage_consent import envelope
from tools.synthetic_faces.write import RECIPE

from facewright.core.errors import ConsentRefused
from facewright.core.files import write_atomic
from facewright.faceset.faceset import Faceset
from facewright.provenance.consent import Record
from facewright.provenance.keys import machine_key
from facewright.provenance.store import PACKAGE, ConsentStore

TEXT = "Heads drawn by a program from random numbers and a published head model; nobody real is shown."
LICENCE = PACKAGE / "footage" / "LICENSE-ICT-FaceKit.txt"
NOTICE = """These pictures contain renders of ICT-FaceKit, (c) USC Institute for Creative Technologies, MIT: see
LICENSE-ICT-FaceKit.txt. Only the head's shape and its expressions come from that model; skin, hair, eyes, cloth, light,
hands and things are made by facewright's tools/footage and tools/synthetic_faces. The people do not exist.
synthetic.json says which settings made the set; synthetic.consent.json what may be done with it.
"""


def declare(faceset: Path, store: ConsentStore | None = None) -> Record:
    """Licence and record beside the faces, the record in this user's store, and its reference in the set.

    Signed by this machine's key, for all uses of exactly this set (role and basis synthetic). A record that lies there
    and is known here stays.
    """
    store = store or ConsentStore()
    shutil.copyfile(LICENCE, faceset / LICENCE.name)
    write_atomic(faceset / "NOTICE.md", NOTICE.encode())
    path = (faceset / RECIPE).with_suffix(".consent.json")
    record = _known(path, store) if path.exists() else None
    if record is None:
        signed = envelope(faceset / RECIPE, TEXT, machine_key())
        record = store.add(signed)
        write_atomic(path, signed)
    if Faceset.open(faceset).consent != record.reference:
        Faceset.open(faceset).set_consent(record.reference)
    return record


def _known(path: Path, store: ConsentStore) -> Record | None:
    try:
        return store.add(path.read_bytes())
    except ConsentRefused:  # signed by another machine, or damaged: this one says it anew
        return None
