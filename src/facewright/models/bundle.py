"""A run in one file: a zip of stored parts, its first member an index with size and SHA-256 of every other one.

Inside: run.json, history, losses, the current save and the named ones. Outside: caches, jobs, previews, and
records of consent: run.json names them by reference. Reading trusts nothing: names, sizes, kinds and digests are
checked before a run appears.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import IO, Any

from facewright import __version__
from facewright.core.errors import FileRefused
from facewright.core.files import disk_error, make_folder, part_file, safe_join, sha256_of
from facewright.models import checkpoint
from facewright.models.opened import check_fit
from facewright.models.retention import is_automatic
from facewright.models.run_folder import RunFolder
from facewright.models.shelf import making, require_room

FORMAT = "facewright.bundle/1"
INDEX = "index.json"
_INDEX_LIMIT_BYTES, _MEMBERS_LIMIT = 4 << 20, 10_000
_CHUNK_BYTES = 4 << 20
_ALLOWED = re.compile(
    r"run\.json|history\.jsonl|losses\.bin|model/CURRENT|model/losses/\d{9}\.bin"
    r"|model/taken_over/[a-z_]{1,40}\.safetensors|model/ckpt/\d{9}(-\d{1,6})?/([a-z_]{1,40}\.safetensors|state\.json)"
)
"""The only names that a bundle may hold."""
_SMALL = {"run.json": 1 << 20, "history.jsonl": 256 << 20, "model/CURRENT": 100}
_BROKEN = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, KeyError, TypeError,
           struct.error, RecursionError)
_WHEN = (1980, 1, 1, 0, 0, 0)


def bundle(
    run: Path, file: Path, *, every_save: bool = False,
    enter: Callable[[dict[str, str]], None] = lambda digests: None,
) -> dict[str, Any]:
    """Write a run into one file; returns its index. every_save: also saves that are neither current nor named. enter:
    called with {file name: SHA-256} when all is written aside, before the file appears.

    Raises FileRefused (FILE is there, no intact save), DiskRefused; on failure no file appears.
    """
    if file.exists():
        raise FileRefused(f"{file.name} exists already.", remedy="Give another name.", where=file)
    folder = RunFolder.open(run)
    parts = _parts(folder, every_save)
    index: dict[str, Any] = {
        "format": FORMAT, "facewright": __version__, "name": run.resolve().name, "net": folder.net,
        "records": sorted({str(p.get("consent")) for p in folder.extra.get("likenesses", []) if p.get("consent")}),
        "files": {},
    }
    for name, content in parts.items():
        size, digest = _measured(content)
        index["files"][name] = {"bytes": size, "sha256": digest}
    need = sum(f["bytes"] for f in index["files"].values())
    require_room(make_folder(file.parent), need, f"write {file.name}")
    with part_file(file) as part:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            archive.writestr(_member(INDEX), json.dumps(index, indent=1).encode())
            for name, content in parts.items():
                _store(archive, name, content, index["files"][name])
        enter({file.name: sha256_of(part)})
    return index


def unbundle(
    file: Path, run: Path, *, enter: Callable[[RunFolder], None] = lambda folder: None
) -> RunFolder:
    """A new run at `run` from a bundle, whole or not at all. enter: called when all is checked, before it appears.

    Raises FileRefused (hostile, damaged, no bundle; RUN is there already), SettingRefused (bad name), DiskRefused.
    """
    with _opened(file) as archive:
        index = _checked_index(archive, file)
        with making(run) as part:
            require_room(part, sum(f["bytes"] for f in index["files"].values()), f"unpack {file.name}")
            for name, wanted in index["files"].items():
                _extract(archive, name, wanted, part, file)
            _is_a_run(part, file)
            enter(RunFolder.open(part))
    return RunFolder.open(run)


def _parts(folder: RunFolder, every_save: bool) -> dict[str, Path | bytes]:
    """Member name -> file, or bytes where the bundle's content differs from the run's."""
    run = folder.path
    current = checkpoint.load_latest(run)
    parts: dict[str, Path | bytes] = {"run.json": _portable(run / "run.json")}
    for name in ("history.jsonl", "losses.bin"):
        if (run / name).is_file():
            parts[name] = run / name
    if current is None:
        return parts
    parts["model/CURRENT"] = f"{current.folder.name}\n".encode()
    for kind in ("losses", "taken_over"):
        parts |= {f"model/{kind}/{p.name}": p for p in sorted((run / "model" / kind).glob("*.*"))}
    for save in checkpoint.list_all(run):
        kept = save.facts.name and not is_automatic(save.facts.name)
        if every_save or kept or save.folder == current.folder:
            parts |= {f"model/ckpt/{save.folder.name}/{n}": save.folder / n
                      for n in ("state.json", *(f"{f}.safetensors" for f in save.state["files"]))}
    return {name: content for name, content in parts.items() if _ALLOWED.fullmatch(name)}


def _portable(record: Path) -> bytes:
    """run.json without the paths of this machine, of each folder only its name, and without people's names: their
    records' references say who they are."""
    content = json.loads(record.read_bytes())
    return json.dumps(_named_only(content), indent=1, sort_keys=True).encode() + b"\n"


def _named_only(value: Any) -> Any:
    if isinstance(value, dict):
        own = {"where": lambda v: PurePath(str(v)).name, "person": lambda v: ""}
        return {k: own.get(k, _named_only)(v) for k, v in value.items()}
    return [_named_only(v) for v in value] if isinstance(value, list) else value


def _chunks(content: Path | bytes) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    try:
        with open(content, "rb") as file:
            while block := file.read(_CHUNK_BYTES):
                yield block
    except FileNotFoundError as error:
        raise FileRefused(f"{content.name} of a save is missing.", remedy="Restore another save of this run first.",
                          where=content) from error


def _measured(content: Path | bytes) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    for block in _chunks(content):
        digest.update(block)
        size += len(block)
    return size, digest.hexdigest()


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _WHEN)
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    return info


def _store(archive: zipfile.ZipFile, name: str, content: Path | bytes, wanted: Mapping[str, Any]) -> None:
    digest = hashlib.sha256()
    with archive.open(_member(name), "w", force_zip64=wanted["bytes"] >= 1 << 31) as out:
        for block in _chunks(content):
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != wanted["sha256"]:
        raise FileRefused(f"{name} changed while it was read.", remedy="Run the same command again.", where=name)


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except _BROKEN as error:
        raise _refused(file, f"{type(error).__name__}: {error}"[:200]) from error
    except FileNotFoundError as error:
        raise FileRefused(f"There is no file {file.name}.", remedy="Check the path.", where=file) from error
    except OSError as error:
        raise disk_error(error, file) from error


def _checked_index(archive: zipfile.ZipFile, file: Path) -> dict[str, Any]:
    """The index, when every member is what it says: known name, plain stored file, once, of that size."""
    members = archive.infolist()
    if len(members) > _MEMBERS_LIMIT or not members or members[0].filename != INDEX:
        raise _refused(file, "it has no index, or far too many parts")
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 0x1 or kind not in (0, stat.S_IFREG):
            raise _refused(file, f"{member.filename[:80]!r} is not a plain stored file")
    if members[0].file_size > _INDEX_LIMIT_BYTES:
        raise _refused(file, "its index is too large")
    index = json.loads(archive.read(INDEX))
    if not isinstance(index, dict) or index["format"] != FORMAT:
        raise _refused(file, "its index is of another format")
    files = index["files"]
    sizes = {m.filename: m.file_size for m in members[1:]}
    if len(sizes) != len(members) - 1 or sizes != {n: f["bytes"] for n, f in files.items()}:
        raise _refused(file, "parts and index differ")
    for name, size in sizes.items():
        if not _ALLOWED.fullmatch(name) or size > _SMALL.get(name, size):
            raise _refused(file, f"a part {name[:80]!r} does not belong into one")
    if "run.json" not in files or sum(sizes.values()) > file.stat().st_size:
        raise _refused(file, "it lacks run.json, or claims to be larger than it is")
    return index


def _extract(archive: zipfile.ZipFile, name: str, wanted: Mapping[str, Any], root: Path, file: Path) -> None:
    target, digest, size = safe_join(root, name), hashlib.sha256(), 0
    make_folder(target.parent)
    with archive.open(name) as source:
        for block in _read(source):
            size += len(block)
            digest.update(block)
            _append(target, block)
    target.touch()
    if size != wanted["bytes"] or digest.hexdigest() != wanted["sha256"]:
        raise _refused(file, f"{name} was altered")


def _append(target: Path, block: bytes) -> None:
    try:
        with open(target, "ab") as out:
            out.write(block)
    except OSError as error:
        raise disk_error(error, target) from error


def _read(source: IO[bytes]) -> Iterator[bytes]:
    while block := source.read(_CHUNK_BYTES):
        yield block


def _is_a_run(part: Path, file: Path) -> None:
    """Everything opens that later commands will open. Raises FileRefused."""
    folder = RunFolder.open(part)
    people = folder.extra.get("likenesses", [])
    if not isinstance(people, list) or not all(isinstance(p, dict) for p in people):
        raise _refused(file, "its list of people is damaged")
    for line in (part / "history.jsonl").read_bytes().splitlines() if (part / "history.jsonl").is_file() else ():
        if line and not isinstance(json.loads(line), dict):
            raise _refused(file, "its history is damaged")
    if (part / "model" / "ckpt").is_dir():
        saved = checkpoint.load_latest(part)
        if saved is not None:
            check_fit(folder, saved.sizes())
    if {c.net for c in checkpoint.list_all(part)} - {folder.net, ""}:
        raise _refused(file, "its saves are of another net")


def _refused(file: Path, why: str) -> FileRefused:
    return FileRefused(
        f"{file.name} is no sound bundle of a model.", why=f"{why}.",
        remedy="Get the file again from where it was made: `facewright model bundle RUN FILE`.", where=file,
    )
