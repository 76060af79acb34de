"""Step: a faceset -> DeepFaceLab's folder `aligned`, or one faceset.pak. One item is 64 faces, put in place together.

JPEGs stay byte for byte; those that the original cannot read, and PNGs, are coded once more at quality 100. Beside the
faces lies a file of JSON lines that says under which record of consent each of them is, and all that DeepFaceLab has
no place for.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shutil
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import cv2

from facewright.core.errors import DiskRefused, FacewrightError, FileRefused, NothingFound, reason
from facewright.core.files import (
    PART,
    disk_error,
    make_folder,
    refuse_occupied,
    safe_join,
    sync_folder,
    write_all,
    write_atomic,
)
from facewright.core.step import Item, Likeness, Work
from facewright.faceset.ahead import ahead
from facewright.faceset.exchange import dfl_pak, dfl_records
from facewright.faceset.exchange.dfl_leaving import Out, leaving
from facewright.faceset.exchange.dfl_names import names
from facewright.faceset.exchange.dfl_records import line_of
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import Row
from facewright.faceset.settings import BATCH_FACES, FacesExportSettings

_PLAIN = re.compile(r"[0-9A-Za-z]{5,200}(_[0-9]{1,9})?\.jpg")
"""Names that no system takes for anything else than a file in this folder."""


@dataclass(slots=True)
class Result:
    """One batch. refused: (path in the faceset, why)."""

    out: list[Out] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    coded_anew: list[str] = field(default_factory=list)
    smaller_masks: int = 0


class ExportStep:
    """Write the faces of `faceset` (or of one `person`) into the folder `out`, new or empty."""

    stage = "export_faces"
    settings: FacesExportSettings

    def __init__(
        self, faceset: str, out: str, settings: FacesExportSettings | None = None, person: str = "",
    ) -> None:
        self.folder, self.out = Path(faceset).resolve(), Path(out).resolve()
        self.settings, self.person = settings or FacesExportSettings(), person

    def home(self) -> Path:
        """A hidden folder beside OUT: in OUT itself, DeepFaceLab would take a folder for a person."""
        return self.out.with_name(f".{self.out.name}.facewright")

    def args(self) -> dict[str, Any]:
        """Constructor arguments, JSON-able."""
        return {"faceset": str(self.folder), "out": str(self.out), "person": self.person}

    def likenesses(self) -> list[Likeness]:
        """One for each record that they name: a revoked one stops the export. Faces without any may leave; the records
        go along."""
        return [Likeness("source_likeness", reference, "", self.folder) for reference in self.faceset.consents()]

    def inputs(self) -> dict[str, str]:
        """Which faces, as they lie there now."""
        return {"faces": self._digest}

    @cached_property
    def faceset(self) -> Faceset:
        """Raises FileRefused."""
        return Faceset.open(self.folder)

    @cached_property
    def named(self) -> list[tuple[Row, str]]:
        """Each face and its name there, a person's folder before it. Raises NothingFound, FileRefused."""
        rows = list(self.faceset.rows_of(self.person))
        if not rows:
            raise NothingFound(f"There are no faces to export in {self.folder.name}.", where=self.folder,
                               remedy="`facewright faces info` lists what it holds.")
        return list(zip(rows, names(self.faceset, rows)))

    def plan(self) -> list[Item]:
        """One item per 64 faces. Raises FacewrightError."""
        ours = {name.partition("/")[0] for _, name in self.named} | {dfl_pak.NAME, dfl_records.NAME}
        refuse_occupied(self.out, "the faces", ours.__contains__)
        if (self.out / dfl_records.NAME).exists() and not self._parts.is_dir():
            raise DiskRefused(f"{self.out.name} holds faces that were exported before.", where=self.out,
                              remedy="Name a new folder, or move that one away.")
        batches = [self.named[at : at + BATCH_FACES] for at in range(0, len(self.named), BATCH_FACES)]
        return [Item(f"{number:06d}", batch) for number, batch in enumerate(batches)]

    def intact(self, item: Item, record: Mapping[str, Any]) -> bool:
        """Whether what an earlier run committed for an item is still on disk."""
        shares = ("lines", "data", "list") if self.settings.pak else ("lines",)
        if not all((self._parts / f"{item.id}.{share}").is_file() for share in shares):
            return False
        return self.settings.pak or all((self.out / name).is_file() for name in record["names"])

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, Result]]:
        """Results in order; a thread reads ahead."""
        cv2.setNumThreads(1)
        done = len(self.named) - sum(len(item.payload) for item in todo)
        with closing(ahead(self._read(todo))) as read:
            for item, batch in work.until_stopped(read):
                result = _made(batch, self.faceset, self.settings.pak)
                done += len(item.payload)
                work.progress(done, len(self.named), refused=len(result.refused))
                yield item, result

    def commit(self, item: Item, result: Result) -> dict[str, Any]:
        """Put one batch in place: its files, or its share of the pak."""
        make_folder(self._parts)
        write_atomic(self._parts / f"{item.id}.lines", b"".join(one.line for one in result.out))
        if self.settings.pak:
            write_atomic(self._parts / f"{item.id}.data", b"".join(one.data for one in result.out))
            write_atomic(self._parts / f"{item.id}.list", b"".join(one.entry for one in result.out))
        else:
            write_all((self._place(one.name), one.data) for one in result.out)
        return {
            "names": [one.name for one in result.out], "sizes": [len(one.data) for one in result.out],
            "consents": sorted({one.consent for one in result.out}), "refused": result.refused,
            "coded_anew": result.coded_anew, "smaller_masks": result.smaller_masks,
        }

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """Put the pak together, write the file of records. Raises FileRefused: nothing could be exported."""
        done = [records[item] for item in sorted(records)]
        refused = {path: why for path, why in self.faceset.damaged().items() if not self.person}
        refused.update((path, why) for one in done for path, why in one["refused"])
        names = [name for one in done for name in one["names"]]
        if not names:
            path, why = next(iter(refused.items()))
            raise FileRefused(f"No face of {self.folder.name} could be exported.", why=f"{path}: {why}",
                              remedy="Extract it again.", where=self.folder)
        make_folder(self.out)
        if self.settings.pak:
            self._join(records)
        consents = sorted({consent for one in done for consent in one["consents"]} - {""})
        self._tell(records, consents)
        self._clear()
        anew = [path for one in done for path in one["coded_anew"]]
        return {
            "faceset": str(self.folder), "out": str(self.out), "exported": len(names),
            "pak": dfl_pak.NAME if self.settings.pak else "", "consents": consents,
            "people": sorted({name.rpartition("/")[0] for name in names} - {""}), "coded_anew": len(anew),
            "smaller_masks": sum(one["smaller_masks"] for one in done),
            "refused": [list(pair) for pair in refused.items()],
        }

    @property
    def _parts(self) -> Path:
        """Shares of a pak; while this folder is there, the export has not come to its end."""
        return self.home() / f"parts-{self._digest[:16]}"

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        size = dict(self.faceset.index.select("SELECT path, bytes || ' ' || mtime_ns FROM faces"))
        for row, name in self.named:
            digest.update(f"{row.path} {size[row.path]} {name}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def _clear(self) -> None:
        """Under another name first: a folder that is half empty would be taken for one that is still needed."""
        gone = self._parts.with_name(f"gone-{self._digest[:16]}")
        shutil.rmtree(gone, ignore_errors=True)
        try:
            os.replace(self._parts, gone)
        except OSError as error:
            raise disk_error(error, self._parts) from error
        shutil.rmtree(gone, ignore_errors=True)

    def _place(self, name: str) -> Path:
        return self.out / name if _PLAIN.fullmatch(name) else safe_join(self.out, name)

    def _join(self, records: Mapping[str, dict[str, Any]]) -> None:
        """The pak of all batches: aside, synced, renamed."""
        order = sorted(records)
        with _placed(self.out / dfl_pak.NAME) as file:
            dfl_pak.write(
                file, [(self._parts / f"{item}.list").read_bytes() for item in order],
                [size for item in order for size in records[item]["sizes"]],
                ((self._parts / f"{item}.data").read_bytes() for item in order))

    def _tell(self, records: Mapping[str, dict[str, Any]], consents: list[str]) -> None:
        """The file of records: a line about the set, then one for each face. It says that the export is whole."""
        head, here = self.faceset.header, {row.track for row, _ in self.named}
        people = [dataclasses.asdict(person) for person in head.people if here.intersection(person.tracks)]
        tracks = [parts for parts in head.tracks if here.intersection(parts)]
        about = {"format": dfl_records.FORMAT, "consent": head.consent, "person": head.person, "consents": consents,
                 "people": people, "tracks": tracks,
                 "sources": [dataclasses.asdict(dataclasses.replace(s, settings={}, facts={})) for s in head.sources]}
        with _placed(self.out / dfl_records.NAME) as file:
            file.write(line_of(about))
            for item in sorted(records):
                file.write((self._parts / f"{item}.lines").read_bytes())

    def _read(self, todo: list[Item]) -> Generator[tuple[Item, list[tuple[Row, str, bytes | FileRefused]]], None, None]:
        for item in todo:
            found: list[tuple[Row, str, bytes | FileRefused]] = []
            for row, name in item.payload:
                try:
                    found.append((row, name, self.faceset.files.read(row.path)))
                except FileRefused as error:
                    found.append((row, name, error))
            yield item, found


@contextmanager
def _placed(final: Path) -> Iterator[BinaryIO]:
    """A file that is written aside, synced and renamed. Raises DiskRefused; then nothing of it is left."""
    part = final.with_name(final.name + PART)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, final)
        sync_folder(final.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise disk_error(error, final) from error


def _made(batch: list[tuple[Row, str, bytes | FileRefused]], faceset: Faceset, pak: bool) -> Result:
    result, own = Result(), faceset.consent
    for row, name, data in batch:
        try:
            if isinstance(data, FileRefused):
                raise data
            out, anew, smaller = leaving(data, name, row.consent or own, faceset.path / row.path, pak=pak)
        except (FacewrightError, ValueError, TypeError, LookupError, cv2.error) as error:
            result.refused.append((row.path, reason(error)))
            continue
        result.out.append(out)
        result.coded_anew += [row.path] if anew else []
        result.smaller_masks += smaller
    return result
