"""Training as a loop over events: `for event in facewright.train(...)`. Leaving the loop stops it, with a save."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from facewright.core.step import Stop

_LOOK_S = 0.5
"""Where a wait cannot be interrupted by Ctrl-C (Windows), it is noticed after so long."""


@dataclass(frozen=True, slots=True)
class TrainEvent:
    """What a training tells.

    kind: "job" (it has begun), "preparing" (faces are cut), "start" (the net is ready), "progress", "preview" (the
    picture `path` is new), "save", "setting" (`settings` changed), "stage", "next_stage", "waiting", "snapshot",
    "reset", "plateau", "collapse" (back at the last good save), "refused", "warning" (see `text`), "done", "stopped"
    (somebody else asked to). Later versions may tell of more: pass over what you do not know.
    iteration: iterations done since the run began. loss_src, loss_dst: None where there is none (a mask net has one
    side). share: of the budget that is used, 0..1. eta_s: seconds that are left.
    path: the preview picture. settings: name -> new value. job: the id that `facewright jobs` knows.
    facts: everything that the event says, by the names of `jobs watch --json`.
    """

    kind: str
    iteration: int = 0
    loss_src: float | None = None
    loss_dst: float | None = None
    it_per_s: float | None = None
    share: float | None = None
    eta_s: float | None = None
    text: str = ""
    path: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    job: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def train(
    net: str, run: str | PathLike[str], src: str | PathLike[str] | None = None, dst: str | PathLike[str] | None = None,
    *, recipe: str = "", stage: str = "", src_person: str = "", dst_person: str = "", **settings: Any,
) -> Generator[TrainEvent, None, None]:
    """Train RUN on two facesets, or go on with it, as `facewright train NET RUN --src SRC --dst DST` does.

    settings: the command's options by name, e.g. resolution=128, minutes=60, random_warp=False. Mask nets (xseg) may do
    with one faceset; inside a project both may be left out. Training and the body of the loop take turns. Leaving the
    loop or closing the generator stops at the next border between two iterations, with a save; the same call goes on.

    Raises, at the first event: SettingRefused, FileRefused, NothingFound, Mismatch, ConsentRefused (somebody's record
    does not allow `train`); later TrainingRefused, DiskRefused. The weights saved last are sound then.
    """
    from facewright.api.training import train as learn
    from facewright.models.settings import SHAPES
    from facewright.training.settings import settings_class

    settings_class(net)  # refuses a net that there is not
    known = SHAPES[net].model_fields
    shape = {name: value for name, value in settings.items() if name in known}
    rest = {name: value for name, value in settings.items() if name not in known}

    def work(talk: _Talk) -> None:
        learn(
            net, Path(run), _path(src), _path(dst), settings=rest, shape=shape, recipe=recipe, stage=stage,
            src_person=src_person, dst_person=dst_person, on_event=talk.tell, stop=talk.stop,
        )

    talk, iteration = _Talk(work), 0
    try:
        for told in talk.events():
            event = _event(told, iteration)
            if event is not None:
                iteration = event.iteration
                yield event
    finally:
        talk.close()


def _path(place: str | PathLike[str] | None) -> Path | None:
    return None if place is None else Path(place)


_UNSEEN = ("item", "failed", "new")
"""Events of jobs that say nothing here: a training is one item, and what fails is raised."""
_WRAPPING = ("kind", "what", "facts", "summary")


def _event(told: Mapping[str, Any], iteration: int) -> TrainEvent | None:
    """An event of a job as a TrainEvent; None for one that says nothing here. iteration: of the event before."""
    if told["kind"] in _UNSEEN or told.get("what") in _UNSEEN:
        return None
    kind = _kind(told)
    facts = {**told, **told.get("facts", {}), **told.get("summary", {})}
    facts = {name: value for name, value in facts.items() if name not in _WRAPPING}
    at = {"progress": "done", "done": "iterations"}.get(kind, "iteration")
    where = facts.get("preview" if kind == "done" else "path")
    return TrainEvent(
        kind, int(facts.get(at, iteration)), loss_src=_number(facts.get("loss_src")),
        loss_dst=_number(facts.get("loss_dst")), it_per_s=_number(facts.get("it_per_s")),
        share=_number(facts.get("share")), eta_s=_number(facts.get("eta_s")),
        text=str(facts.get("text", facts.get("note", ""))), path=Path(where) if where else None,
        settings={facts["name"]: facts["now"]} if kind == "setting" else {}, job=str(facts.get("job", "")), facts=facts,
    )


def _kind(told: Mapping[str, Any]) -> str:
    if told["kind"] == "note":
        return str(told["what"])
    if told["kind"] == "progress" and "loss_src" not in told["facts"]:
        return "preparing"
    return "job" if told["kind"] == "started" else str(told["kind"])


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


class _Talk:
    """A thread that works and tells, and the loop that listens. One of the two is at work at a time, so that a loop
    that is left ends the work right behind the event that it has just seen."""

    def __init__(self, work: Callable[[_Talk], None]) -> None:
        self.stop = Stop()
        self._said: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._heard = threading.Semaphore(0)
        self._over = False
        self._error: BaseException | None = None
        # A daemon: an interpreter that ends while a loop is half done must not wait for it for ever.
        self._thread = threading.Thread(target=self._run, args=(work,), name="training", daemon=True)

    def tell(self, event: Mapping[str, Any]) -> None:
        """Called by the work: hand an event over and wait until the loop comes back for the next."""
        if not self._over:
            self._said.put(dict(event))
            self._heard.acquire()

    def events(self) -> Iterator[dict[str, Any]]:
        """Begin the work; what it tells, until it ends. Raises what it raised."""
        atexit.register(self.close)
        self._thread.start()
        while (event := self._next()) is not None:
            yield event
            self._heard.release()

    def close(self) -> None:
        """Ask the work to stop and wait until it has. Raises what it raised."""
        atexit.unregister(self.close)
        self._over = True
        self.stop.ask()
        self._heard.release()
        if self._thread.ident is not None:
            self._thread.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _next(self) -> dict[str, Any] | None:
        while True:
            try:
                return self._said.get(timeout=_LOOK_S)
            except Empty:
                continue

    def _run(self, work: Callable[[_Talk], None]) -> None:
        from facewright.jobs.run import Stopped

        try:
            work(self)
        except Stopped:
            pass  # asked to: by the loop, which knows, or by somebody else, which was told
        except BaseException as error:  # noqa: BLE001 - raised again in the thread of the loop
            self._error = error
        finally:
            self._said.put(None)
