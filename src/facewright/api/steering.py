"""Verbs about jobs: list, watch, steer, resume; and how every lasting verb is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from facewright.api.trust import gate_at
from facewright.core.errors import SettingRefused
from facewright.core.step import Step, Stop

STEPS: dict[str, str] = {
    "extract": "facewright.faceset.extraction.extract:ExtractStep",
    "frames": "facewright.media.steps:FramesStep",
    "denoise": "facewright.media.steps:DenoiseStep",
    "grade": "facewright.media.steps:GradeStep",
    "smooth": "facewright.faceset.review.smoothing:SmoothStep",
    "again": "facewright.faceset.review.again:AgainStep",
    "clean": "facewright.faceset.cleaning.step:CleanStep",
    "fill_gaps": "facewright.faceset.review.gaps:GapStep",
    "import_faces": "facewright.faceset.exchange.dfl_import:ImportStep",
    "import_alignments": "facewright.faceset.exchange.alignments_import:AlignmentsStep",
    "export_faces": "facewright.faceset.exchange.dfl_export:ExportStep",
    "apply_masks": "facewright.masks.apply:ApplyStep",
    "resize": "facewright.faceset.editing.resize:ResizeStep",
    "enhance": "facewright.faceset.editing.enhance:EnhanceStep",
    "collage": "facewright.faceset.editing.collage:CollageInStep",
    "restore": "facewright.faceset.editing.restore:RestoreStep",
    "copy": "facewright.faceset.moving.copying:CopyStep",
    "pack": "facewright.faceset.moving.pack:PackStep",
    "unpack": "facewright.faceset.moving.unpack:UnpackStep",
    "train": "facewright.training.swap_step:TrainStep",
    "merge": "facewright.merge.run:MergeStep",
    "render": "facewright.render.film:RenderStep",
}
"""Stage -> its Step: one line a stage."""

OnEvent = Callable[[Mapping[str, Any]], None]


def silent(event: Mapping[str, Any]) -> None:
    """Nobody listens."""


def telling(on_event: OnEvent, unit: str = "face") -> Callable[[int, int], None]:
    """The progress(done, total) that functions of other rooms take, as events."""
    return lambda done, total: on_event({"kind": "progress", "done": done, "total": total, "unit": unit})


def perform(step: Step, *, background: bool, on_event: OnEvent, stop: Stop | None = None) -> dict[str, Any]:
    """Run a step as a job, here or in a process of its own; an unfinished job of the same step is continued.

    stop: where this process asks a job that it runs itself to end. Raises Mismatch: the output is a packed faceset.
    """
    from facewright.faceset.files import refuse_packed
    from facewright.jobs.control import spawn
    from facewright.jobs.run import prepare, run_job

    refuse_packed(step.home())
    gate = _gate(step)
    if not background:
        return run_job(step, gate=gate, on_event=on_event, stop=stop).as_dict()
    job = prepare(step, gate=gate)
    pid = spawn(job)
    return {"job": job.id, "stage": step.stage, "process": pid, "watch with": f"facewright jobs watch {job.id[-6:]}"}


def _gate(step: Step) -> Any:
    """The gate of the project that a step writes into; of faces that leave, that of the one they leave: its records say
    who was revoked, and its ledger where they went. Where they are of several projects, each is asked, and the one they
    come into. Raises ConsentRefused."""
    from facewright.provenance.permit import LEAVING_STAGES

    leaving = step.likenesses() if step.stage in LEAVING_STAGES else []
    gates = {gate.records: gate for gate in map(gate_at, (*(one.where for one in leaving), step.home()))}
    first, *others = gates.values()
    for gate in others:
        gate.allow(step)
    return first


def jobs_list() -> list[dict[str, Any]]:
    """Jobs of this project; outside of one, every job of this user."""
    from facewright.jobs.job import list_jobs

    return [job.as_dict() for job in list_jobs(Path.cwd())]


def jobs_watch(id: str) -> Iterator[dict[str, Any]]:
    """A job's events until it ends; the first says of which stage it is."""
    from facewright.jobs.control import watch
    from facewright.jobs.job import Job

    job = Job.find(id)
    yield {"kind": "started", "job": job.id, "stage": job.stage, "output": str(job.home), "preview": str(job.preview)}
    yield from watch(job)


def jobs_request(id: str, wish: Mapping[str, Any]) -> dict[str, Any]:
    """Ask a running job: {"do": stop | save | preview | next}."""
    from facewright.jobs.control import request
    from facewright.jobs.job import Job

    job = Job.find(id)
    request(job, wish)
    return job.as_dict()


def jobs_set(id: str, changes: Mapping[str, str]) -> dict[str, Any]:
    """Change settings of a running training. Raises SettingRefused before anything is asked of the job."""
    from facewright.core.settings import check, parse
    from facewright.jobs.job import Job
    from facewright.training.settings import live, settings_class

    job = Job.find(id)
    if job.stage != "train":
        raise SettingRefused(
            f"Job {job.id} is a {job.stage}: only trainings can be changed while they run.",
            remedy="Stop it and start it again with other settings.",
            where=job.id,
        )
    cls = settings_class(str(job.data["args"]["net"]))
    now = check(cls, job.data["settings"])
    values = {name: parse(cls, name, text) for name, text in changes.items()}
    wanted = check(cls, now.model_dump() | values, started=now)
    live(now, wanted)
    return jobs_request(id, {"set": {name: getattr(wanted, name) for name in values}})


def jobs_resume(id: str, *, on_event: OnEvent) -> dict[str, Any]:
    """Go on with an interrupted or stopped job in this process."""
    from facewright.jobs.job import Job, rebuild
    from facewright.jobs.run import run_job

    job = Job.find(id)
    step = rebuild(job, STEPS)
    return run_job(step, job=job, gate=_gate(step), on_event=on_event).as_dict()
