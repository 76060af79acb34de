"""The four stages on the shipped footage, small: their commands, and what must be equal between two runs of one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from tests.nets import environment
from tests.torture.forge import Forge

from facewright import demo
from facewright.core.journal import scan
from facewright.jobs.job import Job
from facewright.merge.result import Merged
from facewright.models import checkpoint
from facewright.provenance.ledger import Ledger
from facewright.provenance.mark import verify_file

STAGES = ("extract", "train", "merge", "render")
CROPS = ("--resolution", "128", "--face-type", "full_face")
NET = (
    "--archi", "df-ud", "--resolution", "64", "--ae-dims", "32", "--e-dims", "16", "--d-dims", "16",
    "--d-mask-dims", "16", "--precision", "float32", "--threads", "1", "--batch-size", "2", "--seed", "5",
    "--lr-dropout", "0.3",
)  # fmt: skip
ITERATIONS = 40
PLACE = {"extract": "faces", "train": "run", "merge": "merged", "render": "film.mp4"}
"""Name of each stage's output in its folder."""


@dataclass(frozen=True)
class Road:
    """Undisturbed outputs of every stage under `folder`, and the processor seconds that each took."""

    folder: Path
    nets: Path
    cpu_s: Mapping[str, float]

    @property
    def src(self) -> Path:
        return self.folder / "src"

    def environment(self, home: Path) -> dict[str, str]:
        return environment(home, self.nets)

    def output(self, stage: str) -> Path:
        return self.folder / PLACE[stage]

    def words(self, stage: str, folder: Path, merged: Path | None = None) -> list[str]:
        """The command of `stage` that writes into `folder` and reads the undisturbed outputs of the stages before."""
        clips, out = demo.footage(), folder / PLACE[stage]
        words: dict[str, list[Any]] = {
            "extract": ["extract", clips.target, out, *CROPS, "--end", "2.6"],
            "train": ["train", "saehd", out, "--src", self.src, "--dst", self.output("extract"), *NET,
                      "--iterations", ITERATIONS, "--save-minutes", "0.05"],
            "merge": ["merge", clips.target, self.output("extract"), self.output("train"), out],
            "render": ["render", merged or self.output("merge"), out, "--audio-from", clips.target],
        }  # fmt: skip
        return [str(word) for word in words[stage]]


def build(forge: Forge, folder: Path, nets: Path) -> Road:
    """Go the whole road undisturbed."""
    cpu_s: dict[str, float] = {}
    road = Road(folder, nets, cpu_s)
    env = road.environment(folder / "home")
    source = ["extract", str(demo.footage().source), str(road.src), *CROPS, "--end", "0.9"]
    for stage, words in (("src", source), *((stage, road.words(stage, folder)) for stage in STAGES)):
        done = forge.run(words, env)
        assert done.code == 0, done.said
        cpu_s[stage] = done.cpu_s
    return road


def state_of(stage: str, folder: Path) -> Any:
    """What must be equal, whatever happened on the way."""
    return _STATES[stage](folder / PLACE[stage])


def _faceset(folder: Path) -> dict[str, str]:
    """Every byte but the index (a cache) and the jobs."""
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*"))
        if p.is_file() and not p.name.startswith("index.sqlite") and ".facewright" not in p.parts
    }  # fmt: skip


def _run(folder: Path) -> dict[str, Any]:
    """Every loss and every weight, optimiser and running mean included."""
    saved = checkpoint.load_latest(folder)
    assert saved is not None
    losses = hashlib.sha256((folder / "losses.bin").read_bytes()).hexdigest()
    return {"iteration": saved.iteration, "losses": losses, "files": saved.state["files"], "damaged": saved.damaged}


def _merged(folder: Path) -> list[str]:
    return [
        hashlib.sha256(b"%d %d" % (c.frame_index, c.pts) + c.image.tobytes() + c.alpha.tobytes()).hexdigest()
        for c in Merged.open(folder).composites()
    ]


def _film(path: Path) -> dict[str, Any]:
    """Pixels, times, sound and verdict; the bytes hold the moment of signing."""
    with av.open(str(path)) as film:
        pictures = ((f.pts, f.to_ndarray(format="rgb24").tobytes()) for f in film.decode(video=0))
        frames = [(pts, hashlib.sha256(picture).hexdigest()) for pts, picture in pictures]
        base = str(film.streams.video[0].time_base)
    state = verify_file(path).as_dict()["state"]
    return {"frames": frames, "time_base": base, "sound": sound_of(path), "state": state}


def sound_of(path: Path) -> list[tuple[int | None, str]]:
    """(pts, digest) of every audio packet."""
    with av.open(str(path)) as film:
        return [(p.pts, hashlib.sha256(bytes(p)).hexdigest()) for p in film.demux(audio=0) if p.size]


_STATES: dict[str, Callable[[Path], Any]] = {"extract": _faceset, "train": _run, "merge": _merged, "render": _film}


def leftovers(folder: Path) -> list[str]:
    """Half-written files and folders anywhere below, by the names that the house gives them."""
    return sorted(
        str(p.relative_to(folder)) for p in folder.rglob("*")
        if ".part" in p.name or ".old" in p.suffixes or (p.name.startswith(".") and "unsigned" in p.name)
    )  # fmt: skip


def jobs_of(stage: str, folder: Path) -> list[Job]:
    """The jobs of a stage; those of a render lie with its merge."""
    roots = sorted(folder.rglob(".facewright/jobs/*/job.json"))
    return [job for job in (Job.open(p.parent) for p in roots) if job.stage == stage]


def check_books(stage: str, folder: Path, home: Path, jobs: int = 1) -> None:
    """So many jobs, all done, every item recorded once, a whole ledger."""
    found = jobs_of(stage, folder)
    assert len(found) == jobs
    for job in found:
        assert job.state() == "done"
        ids = [r["id"] for r in scan(job.journal)[0] if r["kind"] == "item"]
        assert len(ids) == len(set(ids)), "an acknowledged item was done twice"
    report = Ledger(home / "data" / "ledger.jsonl").verify()
    assert report.intact
    assert not report.torn_bytes
