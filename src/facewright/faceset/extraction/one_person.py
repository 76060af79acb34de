"""One person stays of an extraction; the others' faces go to the trash, from where they can be brought back.

Who stays is said by a picture, by another faceset (`FACESET` or `FACESET:NAME`), or by the name of somebody whom this
faceset tells apart from others. Any other name is no choice but a label: it is kept in every face.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facewright.core.errors import Mismatch, NothingFound
from facewright.core.weights import resolve
from facewright.faces.face import Detection
from facewright.faces.find import FaceFinder
from facewright.faces.five_points import five_of_mesh
from facewright.faces.identity import ASK_COSINE, LEAST_PRESENCE, SAME_COSINE, identity_net, make_embedder, mean_vector
from facewright.faces.people import Track
from facewright.faces.views import eight_bit
from facewright.faceset import header
from facewright.faceset.faceset import Faceset
from facewright.faceset.header import Person
from facewright.faceset.people.people import Linked, VectorsOf, clear, seen
from facewright.faceset.store import Writer, is_faceset
from facewright.faceset.trash import take_out
from facewright.media.frame import Frame
from facewright.media.stills import is_still, read_still

_FACES = 60
_RIVAL = 0.6
"""A picture shows two people when its second face is so large a part of its largest."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Who stays. place: a picture or a faceset, where the person is to be seen; name: of whom in the faceset."""

    text: str
    place: Path
    name: str = ""

    @property
    def picture(self) -> bool:
        """Whether a picture says who it is."""
        return self.place.is_file()


def wanted(text: str, folder: Path) -> Wanted | None:
    """What `--person TEXT` asks of an extraction into `folder`; None: TEXT is a name to be kept in every face."""
    path = Path(text)
    if text and path.is_file() and is_still(path):
        return Wanted(str(path.resolve()), path.resolve())
    place, _, name = text.rpartition(":")
    for root, who in ((text, ""), (place, name)):
        if root and Path(root).is_dir() and is_faceset(Path(root)):
            full = str(Path(root).resolve())
            return Wanted(f"{full}:{who}" if who else full, Path(root).resolve(), who)
    stored = header.load(folder)
    if text and stored is not None and not stored.person and text in {person.name for person in stored.people}:
        return Wanted(text, folder.resolve(), text)
    return None


def vector_of(who: Wanted, vectors_of: VectorsOf | None = None) -> np.ndarray:
    """The unit identity vector of the person. Raises WeightsMissing, FileRefused, NothingFound (no clear face),
    Mismatch (several people)."""
    if vectors_of is None and identity_net() is None:
        resolve("mobileface_v2")
    return _of_picture(who.place) if who.picture else _of_faceset(who, vectors_of)


def keep_one(
    writer: Writer, linked: Linked, who: Wanted, vector: np.ndarray, films: Collection[str],
    vectors_of: VectorsOf | None = None,
) -> tuple[Linked, dict[str, Any]]:
    """Take out the faces of these films (by digest) that are not `who`'s; -> (people and tracks left, what was done).

    Sure ones stay. So do those of whom nothing can be said (too small, turned away), unless they are seen at the same
    time as a sure one: `doubtful` names them. Where nobody is sure, nothing is taken out.
    """
    faceset = Faceset(writer.faceset)
    spans, means = seen(faceset, vectors_of)
    told = {person.name: _likeness(person, spans, means or {}, vector, films) for person in linked.people}
    sure = {name for name, cosine in told.items() if cosine is not None and cosine >= SAME_COSINE}
    if not sure:
        return linked, {"like": who.text, "nobody": True, "kept": 0, "out": 0, "trash": "", "doubtful": []}
    mine = [spans[track] for person in linked.people if person.name in sure for track in person.tracks
            if track in spans and spans[track].source in films]
    out, doubtful = set[str](), set[str]()
    for person in linked.people:
        cosine, own = told[person.name], [t for t in person.tracks if t in spans and spans[t].source in films]
        if person.name in sure:
            continue
        strange = {track for track in own if (cosine is not None and cosine < ASK_COSINE)
                   or any(_together(spans[track], one) for one in mine)}
        out |= strange
        doubtful |= {person.name} if len(strange) < len(own) else set()
    rows = [row for row in faceset.rows() if row.source_sha256 in films]
    gone = [row.path for row in rows if row.track in out]
    taken = take_out(writer, gone, f"not {who.name or who.place.stem}")
    faceset.index.refresh()
    left = [replace(person, tracks=tuple(t for t in person.tracks if t not in out)) for person in linked.people]
    people = tuple(_named(person, who, sure) for person in left if person.tracks or person.settled)
    facts = {"like": who.text, "nobody": False, "kept": len(rows) - len(gone), "out": len(taken.paths),
             "trash": taken.name if taken.paths else "", "doubtful": sorted(doubtful)}
    return Linked(people, linked.tracks), facts


def _named(person: Person, who: Wanted, sure: Collection[str]) -> Person:
    """Somebody known by name in another set gets that name, when it is one person who is meant."""
    if len(sure) == 1 and person.name in sure and who.name and not person.settled:
        return Person(who.name, person.tracks, settled=True)
    return person


def _likeness(
    person: Person, spans: Mapping[str, Track], means: Mapping[str, np.ndarray], vector: np.ndarray,
    films: Collection[str],
) -> float | None:
    """Cosine of a person's tracks in these films with the vector; None where nothing can be said."""
    own = [means[track] * spans[track].count for track in person.tracks
           if track in means and spans[track].source in films]
    total = np.sum(own, axis=0) if own else np.zeros(1)
    length = float(np.linalg.norm(total))
    return float(total @ vector) / length if length > 0 else None


def _together(a: Track, b: Track) -> bool:
    return a.source == b.source and a.first_frame <= b.last_frame and b.first_frame <= a.last_frame


def _of_picture(path: Path) -> np.ndarray:
    image = eight_bit(read_still(path))
    found = sorted(FaceFinder().find([Frame(0, 0, Fraction(1), image)])[0], key=lambda one: -_area(one.detection))
    good = [one for one in found if one.presence_01 >= LEAST_PRESENCE]
    if not good:
        raise NothingFound(f"No clear face was found in {path.name}.", where=path,
                           remedy="Give a picture in which the face is large, sharp and looks at the camera.")
    if len(good) > 1 and _area(good[1].detection) > _RIVAL * _area(good[0].detection):
        raise Mismatch(f"{path.name} shows several people.", where=path,
                       remedy="Cut the picture so that it shows the one who is meant.")
    points = five_of_mesh(good[0].landmarks.mesh_px[:, :2])
    return make_embedder()([image], points[None])[0]


def _of_faceset(who: Wanted, vectors_of: VectorsOf | None) -> np.ndarray:
    faceset = Faceset.open(who.place)
    names = sorted(faceset.people())
    if not who.name and len(names) > 1:
        raise Mismatch(f"There are several people in {who.place.name}: {', '.join(names)}.", where=who.place,
                       remedy=f"Say who is meant: --person {who.place.name}:{names[0]}.")
    ids = [row.face_id for row in faceset.rows_of(who.name) if clear(row)]
    if not ids:
        raise NothingFound(
            f"There is no clear face of {who.name or 'anybody'} in {who.place.name}.", where=who.place,
            remedy=f"Its people are: {', '.join(names) or 'nobody'}. A picture will do as well.")
    some = [ids[i] for i in np.unique(np.linspace(0, len(ids) - 1, _FACES).round().astype(int))]
    found = (vectors_of or faceset.vectors)(some)
    assert found is not None
    return mean_vector(found.matrix)


def _area(detection: Detection) -> float:
    x0, y0, x1, y1 = detection.box_px
    return (x1 - x0) * (y1 - y0)
