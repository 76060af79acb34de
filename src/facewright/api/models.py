"""Verbs about runs: look, compare, rename, copy, trash; snapshots and resets; one file for the whole of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facewright.core.errors import DiskRefused, FileRefused, SettingRefused
from facewright.project import here_or_refuse, run_place

if TYPE_CHECKING:
    from facewright.models.run_folder import RunFolder


def model_list(folder: Path | None = None) -> list[dict[str, Any]]:
    """The runs of a folder (default: the project's), trained last first; `state` is "running" while a job holds it."""
    from facewright.models.shelf import runs_in
    from facewright.training.runs import row_of

    busy = {Path(str(job.data["home"])) for job in _running()}
    rows = [row_of(run) | {"state": "running" if run.resolve() in busy else ""} for run in runs_in(_shelf(folder))]
    return sorted(rows, key=lambda row: (row["last_trained"], row["name"]), reverse=True)


def model_info(run: Path | None = None) -> dict[str, Any]:
    """Everything about one run (default: the project's that was trained last). Raises FileRefused."""
    from facewright.api.trust import records_of
    from facewright.training.runs import info

    place = _place(run)
    known = info(place)
    records = records_of(place, [str(p.get("consent")) for p in known["people"] if p.get("consent")])
    return known | {"records": records, "state": "running" if _holders(place) else ""}


def model_history(run: Path | None = None) -> list[dict[str, Any]]:
    """The journal of a run and its saves, oldest first: at, iteration, what, text. Raises FileRefused."""
    from facewright.models.run_folder import RunFolder
    from facewright.training.runs import rows

    return rows(RunFolder.open(_place(run)).path)


def model_pictures(run: Path | None = None, file: Path | None = None, *, face: int = 1) -> dict[str, Any]:
    """Which preview pictures of a run are kept, and where; with `file` also a PNG of face number `face` over the course
    of the training, which shows people: the gate is asked. Raises NothingFound (none are kept), SettingRefused (fewer
    faces), FileRefused, ConsentRefused."""
    from facewright.api.exchange import leave
    from facewright.core.files import make_folder, write_atomic
    from facewright.training.lapse import kept, lapse

    place = _place(run)
    found = kept(place)
    if file is not None:
        leave(place, "preview")
        picture = lapse(place, face)
        make_folder(file.parent)
        write_atomic(file, picture)
    return {"run": str(place), "folder": str(place / "preview"), "pictures": len(found),
            "iterations": [at for at, _ in found], "file": str(file or "")}


def model_compare(runs: Sequence[Path], plot: Path | None = None) -> dict[str, Any]:
    """Runs side by side; with `plot` also a PNG of their losses. Raises SettingRefused (one run), FileRefused."""
    from facewright.core.files import make_folder, write_atomic
    from facewright.training.compare import compare, course
    from facewright.training.compare_plot import draw

    if len(runs) < 2:
        raise SettingRefused("Two runs at least are compared.", remedy="facewright model compare RUN RUN", where="RUN")
    places = [_place(run) for run in runs]
    found = compare(places)
    if plot is not None:
        make_folder(plot.parent)
        write_atomic(plot, draw(found["runs"], [course(place) for place in places]))
    return found | {"plot": str(plot or "")}


def model_rename(run: Path, name: str) -> dict[str, Any]:
    """Another name in the same folder. Raises SettingRefused, FileRefused (taken), DiskRefused (a job holds it)."""
    from facewright.models.shelf import rename
    from facewright.training.snapshots import journal

    place = _place(run)
    waiting = _waiting(place)
    with _alone(place):
        new = rename(place, name)
    journal(new, "rename", before=place.resolve().name, now=name)
    return {"run": str(new), "before": str(place), "waiting": waiting}


def model_copy(run: Path, new: Path) -> dict[str, Any]:
    """A whole copy without jobs and caches; `new` is a path, or a name beside the run. Raises FileRefused (taken)."""
    from facewright.models.shelf import duplicate
    from facewright.training.snapshots import journal

    place = _place(run)
    target = place.resolve().parent / new if len(new.parts) == 1 else new
    with _alone(place, readers=True):
        made = duplicate(place, target)
    journal(made, "copy", of=place.resolve().name)
    return {"run": str(made), "of": str(place)}


def model_delete(run: Path) -> dict[str, Any]:
    """Into the trash beside it. Raises DiskRefused (a job holds it)."""
    from facewright.models.shelf import bytes_of, discard

    place = _place(run)
    size, waiting = bytes_of(place), _waiting(place)
    with _alone(place):
        trashed = discard(place)
    return {"run": str(place), "trash": str(trashed), "bytes": size, "waiting": waiting}


def model_trash_list(folder: Path | None = None) -> list[dict[str, Any]]:
    """What lies in the trash of a folder of runs (default: the project's), oldest first."""
    from facewright.models.shelf import bytes_of, trashed

    return [{"name": t.name, "deleted": t.when, "bytes": bytes_of(t.folder), "id": t.folder.name, "path": str(t.folder)}
            for t in trashed(_shelf(folder))]


def model_trash_restore(name: str, *, folder: Path | None = None, new_name: str = "") -> dict[str, Any]:
    """Take a run out of the trash, under `new_name` or its own. Raises NothingFound, FileRefused (name is taken)."""
    from facewright.models.shelf import bring_back

    return {"run": str(bring_back(_shelf(folder, "--in FOLDER"), name, new_name))}


def model_trash_empty(name: str = "", *, folder: Path | None = None) -> dict[str, Any]:
    """Delete for good what lies in the trash, or what is called `name` there. Raises NothingFound."""
    from facewright.models.shelf import empty

    return {"deleted": [t.name for t in empty(_shelf(folder, "--in FOLDER"), name)]}


def model_reset(run: Path, network: str, *, seed: int | None = None) -> dict[str, Any]:
    """One net within the run begins afresh; what was there is kept as a snapshot. Raises SettingRefused (no such)."""
    from facewright.training.reset import reset

    place = _place(run)
    with _alone(place):
        return {"run": str(place), **asdict(reset(place, network, seed))}


def model_parts(run: Path, network: str) -> list[str]:
    """The nets within the run that `network` means. Raises SettingRefused with the list, NothingFound."""
    from facewright.training.reset import chosen
    from facewright.training.snapshots import newest

    return list(chosen(newest(_place(run)), network))


def model_snapshot(run: Path, name: str, *, save: str = "") -> dict[str, Any]:
    """Keep the newest save, or the one called `save`, for ever. Raises SettingRefused (name), Mismatch (is kept)."""
    from facewright.training.snapshots import snapshot

    place = _place(run)
    with _alone(place, readers=True):
        kept = snapshot(place, name, save)
    return {"run": str(place), "name": name, "iteration": kept.iteration, "save": kept.folder.name,
            "whole": kept.resumable}


def model_restore(run: Path, name: str) -> dict[str, Any]:
    """Go on from a snapshot, or from any save by its number; what was current is kept as a snapshot."""
    from facewright.models import checkpoint
    from facewright.training.snapshots import restore

    place = _place(run)
    with _alone(place):
        now, before = restore(place, name)
    # Its name may be new.
    kept = next(c.facts.name for c in checkpoint.list_all(place) if c.folder == before.folder)
    return {"run": str(place), "iteration": now.iteration, "save": now.folder.name, "whole": now.resumable,
            "before": before.iteration, "kept_as": kept, "changed": now.folder != before.folder}


def model_bundle(run: Path, file: Path, *, every_save: bool = False) -> dict[str, Any]:
    """A run as one file, for the user's other machines: everybody whose face it learned must still allow `train`, and
    the ledger notes it (decision 014) before the file appears. Raises ConsentRefused, NothingFound (nothing trained),
    FileRefused (FILE is there), DiskRefused."""
    from facewright.api.exchange import entry_of, leave
    from facewright.models.bundle import bundle
    from facewright.training.snapshots import newest

    place = _place(run)
    with _alone(place, readers=True):
        permit = leave(place, "train")
        enter, iteration = entry_of(place, permit), newest(place).iteration
        index = bundle(place, file, every_save=every_save, enter=lambda digests: enter(iteration, digests))
    return {"run": str(place), "file": str(file), "bytes": file.stat().st_size, "parts": len(index["files"]),
            "records": index["records"]}


def model_unbundle(file: Path, run: Path) -> dict[str, Any]:
    """A new run from a file of model_bundle; the ledger notes it before the run appears. Raises FileRefused (hostile,
    damaged; RUN is there), SettingRefused, TraceBroken."""
    from facewright.api.exchange import note as enter_ledger
    from facewright.api.exchange import spelled
    from facewright.api.trust import permit_at, records_of
    from facewright.core.files import sha256_of
    from facewright.models.bundle import unbundle
    from facewright.models.exchange import MASK_STAGE
    from facewright.training.runs import row_of
    from facewright.training.snapshots import journal

    place = run_place(run)

    def records(folder: RunFolder) -> list[str]:
        return sorted({str(p["consent"]) for p in folder.extra.get("likenesses", []) if p.get("consent")})

    def enter(folder: RunFolder) -> None:
        facts = {"net": folder.net, "files": [[spelled(file.name), sha256_of(file)]], "records": records(folder)}
        enter_ledger(place, "model.imported", permit_at(place, MASK_STAGE, []), place.name, facts)

    named = records(unbundle(file, place, enter=enter))
    journal(place, "unbundle", file=file.name)
    here = records_of(place, named)
    return row_of(place) | {"run": str(place), "records": named, "missing": [r for r in named if r not in here]}


def _place(run: Path | None) -> Path:
    """A run by its folder, by its name in the project, or the project's that was trained last."""
    from facewright.models.run_folder import RunFolder

    return here_or_refuse("RUN").latest_run() if run is None else RunFolder.open(run_place(run)).path


def _shelf(folder: Path | None, word: str = "FOLDER") -> Path:
    """The folder of runs that is meant: given, or the project's. Raises FileRefused: the given one is not there."""
    if folder is None:
        return here_or_refuse(word).root / "runs"
    if not folder.is_dir():
        raise FileRefused(f"There is no folder {folder}.", remedy="Correct the path.", where=folder)
    return folder


@contextmanager
def _alone(run: Path, *, readers: bool = False) -> Iterator[None]:
    """No job trains this run meanwhile, and none merges from it unless `readers` may. Raises DiskRefused."""
    from facewright.jobs.run import holding

    for job in _holders(run):
        if not readers or Path(str(job.data["home"])) == run.resolve():
            raise DiskRefused(
                f"A running {job.stage} uses {run.resolve().name}.",
                remedy=f"Wait for it, or stop it: `facewright jobs stop {job.id[-6:]}`; it can go on later.", where=run,
            )
    with holding(run):
        if os.name != "nt":
            yield
    if os.name == "nt":  # a folder with an open file in it cannot be moved there
        yield


def _running() -> list[Any]:
    from facewright.jobs.job import list_jobs

    return [job for job in list_jobs(everywhere=True) if job.state() == "running"]


def _holders(run: Path) -> list[Any]:
    """Running jobs that write into this run or read it."""
    return [job for job in _running() if _uses(job, run)]


def _waiting(run: Path) -> list[str]:
    """Ids of jobs that were stopped and would go on at this place."""
    from facewright.jobs.job import list_jobs

    ended = ("stopped", "interrupted")
    return [job.id for job in list_jobs(everywhere=True) if _uses(job, run) and job.state() in ended]


def _uses(job: Any, run: Path) -> bool:
    named = job.data["args"].get("run")
    place = run.resolve()
    return Path(str(job.data["home"])) == place or (isinstance(named, str) and Path(named).resolve() == place)
