"""Is every face of a set whole? Each file is read to its end: a packed one against its checksum, others decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from facewright.core.errors import FileRefused
from facewright.faceset.faceset import Faceset
from facewright.faceset.files import load
from facewright.faceset.moving.unpack import digests_of
from facewright.faceset.pack_format import INDEX
from facewright.faceset.packed import PackedFiles

_AT_ONCE, _THREADS = 64, 2


def check(place: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> dict[str, Any]:
    """Look at every face of a faceset, a folder or packed. damaged: [path, why] of files that are not whole.

    Raises FileRefused: no faceset; a packed one whose directory is damaged.
    """
    faceset = Faceset.open(place)
    files = faceset.files
    damaged = faceset.damaged()
    todo = [path for path, in faceset.index.select("SELECT path FROM faces WHERE trouble = '' ORDER BY path")]
    digests = dict[str, str]()
    if isinstance(files, PackedFiles):
        digests = dict(digests_of(files.small(INDEX) or b"", place))
        todo = [name for name in files.members if name != INDEX]
        damaged |= {name: "It is in the index, but not in the file." for name in digests.keys() - set(todo)}

    def look(path: str) -> tuple[str, str]:
        try:
            if not isinstance(files, PackedFiles):
                load(files, path)
            elif hashlib.sha256(files.read(path)).hexdigest() != digests.get(path):
                return path, "It does not match its checksum."
        except FileRefused as error:
            return path, error.why or error.what
        return path, ""

    with ThreadPoolExecutor(_THREADS) as pool:
        for number, (path, why) in enumerate(_mapped(pool, look, todo), 1):
            progress(number, len(todo))
            if why:
                damaged[path] = why
    looked = len({*todo, *damaged})
    return {"faceset": str(place), "looked_at": looked, "damaged": [list(pair) for pair in sorted(damaged.items())]}


def _mapped(
    pool: ThreadPoolExecutor, look: Callable[[str], tuple[str, str]], todo: list[str]
) -> Iterator[tuple[str, str]]:
    """A bounded number at once: pictures are large."""
    paths = iter(todo)
    while batch := list(islice(paths, _AT_ONCE)):
        yield from pool.map(look, batch)
