"""A faceset: faces as a collection on disk, iterated and queried without holding it in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import FileRefused, NothingFound
from facewright.faces.face import Face
from facewright.faceset import files, record
from facewright.faceset.files import load_header, refuse_packed
from facewright.faceset.header import Header, Person
from facewright.faceset.index import Index, Row
from facewright.faceset.info import FacesetInfo, collect
from facewright.faceset.pack_format import refused
from facewright.faceset.store import Writer, is_faceset

Embed = Callable[[Sequence[np.ndarray], Sequence[Face]], np.ndarray]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Identity vectors: face_ids in faceset order, matrix (N, D) float32 of unit rows, digest of the net."""

    face_ids: tuple[str, ...]
    matrix: np.ndarray
    net_sha256: str


class Faceset:
    """Faces of one folder or packed file in the order of source, frame, ordinal. Cheap to hand to another process: only
    a path. Nothing is checked here: `open` does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.index = Index(path)
        self.files = self.index.files

    @classmethod
    def open(cls, path: Path | str, *, refresh: bool = True) -> Faceset:
        """The faceset in a folder or packed file; `refresh` brings its index in step with them (workers may skip that).

        Raises FileRefused: no such folder, not a faceset, a damaged faceset.json.
        """
        folder = Path(path)
        if not is_faceset(folder):
            if folder.is_file():
                raise refused(folder, "it does not begin as one")
            missing = not folder.exists()
            raise FileRefused(
                f"There is no faceset at {folder}.", why="" if missing else "It holds no faces.",
                remedy="Make one with `facewright extract INPUT FACESET`, or correct the path.", where=folder,
            )
        faceset = cls(folder)
        load_header(faceset.files)
        if refresh:
            faceset.index.refresh()
        return faceset

    def __len__(self) -> int:
        return int(self.index.select("SELECT count(*) FROM faces WHERE trouble = '' AND doubled = 0")[0][0])

    def __iter__(self) -> Iterator[Face]:
        for row in self.index.rows():
            yield self._read(row.path)

    @property
    def header(self) -> Header:
        """What faceset.json says now; made up from the faces where that file is missing."""
        stored = load_header(self.files)
        if stored is not None:
            return stored
        first = next(self.index.rows(), None)
        return Header(face_type=first.face_type, side_px=first.side_px) if first else Header()

    @property
    def consent(self) -> str:
        """Reference of the consent record of the whole set, or ""."""
        return self.header.consent

    @property
    def face_type(self) -> str:
        """The crop type of the set, "" when it is empty (`faces info` counts them all)."""
        return self.header.face_type

    def rows(self, **query: Any) -> Iterator[Row]:
        """Small facts of the chosen faces, streamed. Query names: `where`."""
        return self.index.rows(**query)

    def rows_of(self, person: str, **query: Any) -> Iterator[Row]:
        """The same for one person's faces; "": everybody's."""
        name = self.namer()
        return (row for row in self.rows(**query) if not person or name(row) == person)

    def damaged(self) -> dict[str, str]:
        """Path -> reason of the files that no row and no face comes from, because they cannot be read."""
        return dict(self.index.select("SELECT path, trouble FROM faces WHERE trouble <> '' ORDER BY path"))

    def where(self, **query: Any) -> list[Face]:
        """Faces by ranges (`yaw_deg=(-30, 30)`, both ends included) and values (`person="Ada"`, `source_sha256=...`).

        TypeError for a name that faces do not have.
        """
        return [self._read(row.path) for row in self.index.rows(**query)]

    def face(self, face: Row | str) -> Face:
        """One face, by row or id. Raises NothingFound."""
        return self._read(self._path_of(face))

    def file(self, face: Face | str) -> Path:
        """The file of a face (or face id). Raises NothingFound, Mismatch (packed: it has no file of its own)."""
        refuse_packed(self.path)
        return self.path / self._path_of(face)

    def load(self, face: Face | Row | str) -> tuple[Face, np.ndarray, np.ndarray | None]:
        """A face (or row, or face id) read once: face, (S, S, 3) uint8 RGB, stored (m, m) uint8 mask or None.

        Raises NothingFound, FileRefused.
        """
        return files.load(self.files, self._path_of(face))

    def image(self, face: Face | Row | str) -> np.ndarray:
        """(S, S, 3) uint8 RGB."""
        path = self._path_of(face)
        return record.decode_image(self.files.read(path), self.path / path)

    def mask(self, face: Face | Row | str) -> np.ndarray | None:
        """The stored mask, (m, m) float32 0..1, or None when none is stored."""
        path = self._path_of(face)
        mask = record.decode_mask(self.files.read(path), self.path / path)
        return None if mask is None else mask.astype(np.float32) / np.float32(255)

    def by_frame(self, source_sha256: str, start: int = 0, stop: int | None = None) -> dict[int, list[Face]]:
        """Frame index -> its faces from left to right, for the frames start <= i < stop of one source."""
        found: dict[int, list[Face]] = {}
        last = (1 << 62) if stop is None else stop - 1
        for row in self.index.rows(source_sha256=source_sha256, frame_index=(start, last)):
            found.setdefault(row.frame_index, []).append(self._read(row.path))
        return found

    def footage(self) -> dict[str, str]:
        """SHA-256 of every film that faces came from -> its file name."""
        rows = self.index.select("SELECT DISTINCT source_sha256, source_file FROM faces WHERE trouble = ''")
        named = {source.sha256: source.file for source in self.header.sources}
        return dict(sorted({**dict(rows), **named}.items(), key=lambda pair: pair[::-1]))

    def consents(self) -> list[str]:
        """References of all records that the set or one of its faces names."""
        rows = self.index.select("SELECT DISTINCT consent FROM faces WHERE trouble = '' ORDER BY consent")
        return sorted({self.consent, *(reference for (reference,) in rows)} - {""})

    def people(self) -> dict[str, list[str]]:
        """Name -> tracks. One entry holding every track when the whole set is named; {} when nobody is. People whose
        faces have all left the set are not told, though faceset.json remembers them."""
        header = self.header
        if header.person:
            rows = self.index.select("SELECT DISTINCT track FROM faces WHERE trouble = '' ORDER BY track")
            return {header.person: [track for (track,) in rows]}
        here = {track for (track,) in self.index.select("SELECT DISTINCT track FROM faces WHERE trouble = ''")}
        return {person.name: list(person.tracks) for person in header.people if here.intersection(person.tracks)}

    def person_of(self, face: Face) -> str:
        """The face's own name, else the set's, else the name of the person whose track it belongs to, else ""."""
        return self.namer()(face)

    def namer(self) -> Callable[[Face | Row], str]:
        """`person_of` with faceset.json read once: for loops over faces or rows."""
        header = self.header
        by_track = {track: person.name for person in header.people for track in person.tracks}
        return lambda face: face.person or header.person or by_track.get(face.track, "")

    def info(self) -> FacesetInfo:
        """Counts, coverage and troubles, from the index alone."""
        return collect(self.path, self.index, self.header)

    def set_consent(self, reference: str, person: str = "") -> None:
        """Name the consent record of the whole set ("" removes it), or of one `person`'s faces alone.

        Faces that carry the set's record so far (`extract --consent`) carry this one from now on, else it would have no
        effect on them; faces under a record of their own keep it.
        """
        before, name = self.consent, self.namer()
        if person:
            stale = [row for row in self.index.rows() if name(row) == person and row.consent != reference]
        else:
            stale = [row for row in self.index.rows() if row.consent == before != reference] if before else []
        with Writer(self.path) as writer:
            for row in stale:
                path = self.path / row.path
                face = dataclasses.replace(record.read_face(path), consent=reference)
                writer.write_face(path, face, record.read_mask(path))
        if not person:
            self._change(lambda header: dataclasses.replace(header, consent=reference))
        if stale:
            self.index.refresh()

    def set_person(self, name: str, *, instead_of: str = "") -> None:
        """Name the one person of the whole set, or rename one of several (`instead_of="person-2"`).

        Raises NothingFound when nobody is called `instead_of`.
        """
        if not instead_of:
            self._change(lambda header: dataclasses.replace(header, person=name))
            return
        if instead_of not in {person.name for person in self.header.people}:
            raise NothingFound(
                f"Nobody in {self.path.name} is called {instead_of!r}.",
                remedy=f"The names are: {', '.join(p.name for p in self.header.people) or 'none'}.", where=self.path,
            )
        self._change(lambda header: dataclasses.replace(header, people=_renamed(header.people, instead_of, name)))

    def vectors(
        self, face_ids: Sequence[str] | None = None, *, limit: int | None = None, batch: int = 32,
        embed: Embed | None = None, net_sha256: str = "",
    ) -> Vectors | None:
        """Unit identity vectors of all (or the named) faces, or None when no identity net is at hand.

        Biometric data: kept in the index alone, keyed by the net's digest, computed for what is missing. `limit`:
        at most so many, spread evenly over the set. `embed` and `net_sha256`: another net than the default (tests).
        """
        if embed is None:
            from facewright.faces import identity

            net = identity.identity_net()
            if net is None:
                return None
            embed, net_sha256 = identity.embed, net[1]
        ids = list(face_ids) if face_ids is not None else [row.face_id for row in self.rows()]
        if limit is not None and len(ids) > limit:
            ids = [ids[i] for i in np.linspace(0, len(ids) - 1, limit).round().astype(int)]
        known = self._known_vectors(ids, net_sha256)
        missing = [face_id for face_id in ids if face_id not in known]
        for at in range(0, len(missing), batch):
            some = missing[at : at + batch]
            fresh = np.asarray(embed([self.image(i) for i in some], [self.face(i) for i in some]), np.float32)
            known.update(zip(some, fresh))
            with self.index.connect() as db:
                db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)",
                               [(i, net_sha256, v.tobytes()) for i, v in zip(some, fresh)])
        matrix = np.stack([known[i] for i in ids]) if ids else np.zeros((0, 0), np.float32)
        return Vectors(tuple(ids), matrix, net_sha256)

    def identity(self, limit: int = 200) -> tuple[np.ndarray, str] | None:
        """(vectors (N, D) float32, digest of the net) of at most `limit` faces, or None: for `Likeness.vectors`."""
        found = self.vectors(limit=limit)
        return None if found is None else (found.matrix, found.net_sha256)

    def forget_identity(self, keep: Collection[str] = ()) -> int:
        """Erase every identity vector but those of the faces `keep`; returns how many there were. The bytes are
        overwritten, not only unlinked."""
        with self.index.connect() as db:
            db.execute("CREATE TEMP TABLE kept (face_id TEXT PRIMARY KEY)")
            db.executemany("INSERT OR IGNORE INTO kept VALUES (?)", ((face_id,) for face_id in keep))
            count = db.execute("DELETE FROM vectors WHERE face_id NOT IN (SELECT face_id FROM kept)").rowcount
        with self.index.connect() as db:
            db.commit()
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return count

    def _known_vectors(self, ids: Sequence[str], net_sha256: str) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        with self.index.connect() as db:
            for at in range(0, len(ids), 500):
                some = ids[at : at + 500]
                marks = ", ".join("?" * len(some))
                rows = db.execute(f"SELECT face_id, vector FROM vectors WHERE net_sha256 = ? AND face_id IN ({marks})",
                                  [net_sha256, *some])
                found.update((face_id, np.frombuffer(blob, np.float32)) for face_id, blob in rows)
        return found

    def _read(self, path: str) -> Face:
        return files.read_head(self.files, path)[0]

    def _path_of(self, face: Face | Row | str) -> str:
        return face.path if isinstance(face, Row) else self._row_path(face if isinstance(face, str) else face.face_id)

    def _row_path(self, face_id: str) -> str:
        found = self.index.select(
            "SELECT path FROM faces WHERE face_id = ? AND trouble = '' AND doubled = 0", (face_id,))
        if not found:
            raise NothingFound(
                f"There is no face {face_id!r} in {self.path.name}.",
                remedy="List the faces with `facewright faces info`.", where=self.path,
            )
        return str(found[0][0])

    def _change(self, change: Callable[[Header], Header]) -> None:
        base = self.header
        with Writer(self.path) as writer:
            writer.update_header(lambda stored: change(stored if stored != Header() else base))


def _renamed(people: tuple[Person, ...], old: str, new: str) -> tuple[Person, ...]:
    """Rename; two persons of one name become one, which is settled then."""
    tracks: dict[str, tuple[str, ...]] = {}
    settled = {new} | {person.name for person in people if person.settled}
    for person in people:
        name = new if person.name == old else person.name
        tracks[name] = (*tracks.get(name, ()), *person.tracks)
    return tuple(Person(name, found, name in settled) for name, found in tracks.items())
