"""What a stage looks like to the runner, and what the runner gives it.

A Step is planned into items with stable ids; results are computed in `stream` (which may overlap decode,
compute and encode as it likes) and become durable in `commit`, called by the parent process only, in order.
Killed before the journal line of an item: that item is done again under the same name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from facewright.core.settings import Settings
from facewright.core.ulid import new_ulid

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Item:
    """A unit of work that is committed as a whole; `id` is stable between runs."""

    id: str
    payload: Any = None


@dataclass(frozen=True, slots=True)
class Likeness:
    """One human face set that a step touches, as plain data for the permit.

    role: what this step does with it: `source_likeness` (face put in) or `target_performer` (face replaced).
    consent: reference `sha256:...` of a consent record, or "" when none is named.
    person: the name in the faceset, or "".
    where: the faceset's folder, for the refusal's text.
    footage_sha256: hex digests of the films that the faces came from (test_footage and shipped records are
    valid for these files alone).
    vectors: returns unit identity vectors (N, D) float32 and the sha256 of their net, or None when the net is
    not at hand; called only for records that carry a binding.
    """

    role: str
    consent: str
    person: str
    where: Path
    footage_sha256: tuple[str, ...] = ()
    vectors: Callable[[], tuple[np.ndarray, str] | None] | None = None


class Stop:
    """A request to end: the first ends after the current item or iteration, the second at once."""

    def __init__(self) -> None:
        self._first, self._second = threading.Event(), threading.Event()

    def ask(self) -> None:
        """Ask once more."""
        (self._second if self._first.is_set() else self._first).set()

    @property
    def asked(self) -> bool:
        """End at the next good moment."""
        return self._first.is_set()

    @property
    def at_once(self) -> bool:
        """End now, dropping the item in work."""
        return self._second.is_set()


@dataclass
class Work:
    """What the runner hands to a running step. The default instance runs a step without any job (tests).

    folder: the job's folder (logs, live preview), or None.
    progress(done, total, note="", **facts): cheap, called as often as liked; `facts` are numbers such as loss.
    changes(): client requests since the last call, each {"set": {name: value}} or {"do": "save"|"preview"|"next"}.
    note(kind, **facts): one journalled event that is not an item (a setting changed, a save, a warning).
    """

    folder: Path | None = None
    stop: Stop = field(default_factory=Stop)
    progress: Callable[..., None] = lambda done, total=None, note="", **facts: None
    changes: Callable[[], list[dict[str, Any]]] = list
    note: Callable[..., None] = lambda kind, **facts: None

    @property
    def job(self) -> str:
        """Id of the job, the same in all its sessions; where there is none, a new one at each question."""
        return self.folder.name.partition("-")[0] if self.folder is not None else new_ulid()

    def until_stopped(self, todo: Iterable[T]) -> Iterator[T]:
        """One after another, until a stop is asked for; the one in hand is ended first, unless it is to be at once."""
        for one in todo:
            if self.stop.at_once:
                return
            yield one
            if self.stop.asked:
                return


class Step(Protocol):
    """A stage of the road. Concrete steps are dataclasses whose fields (settings apart) are JSON-able, so
    that a job can be rebuilt from its `job.json` in another process: `Cls(**args, settings=settings)`."""

    stage: str

    @property
    def settings(self) -> Settings:
        """What the user chose; frozen into job.json."""
        ...

    def home(self) -> Path:
        """The output folder: job folder and lock live near it."""
        ...

    def args(self) -> dict[str, Any]:
        """The constructor's arguments without settings, JSON-able."""
        ...

    def likenesses(self) -> list[Likeness]:
        """Whose faces this step touches; empty for steps that only look (extract)."""
        ...

    def inputs(self) -> dict[str, str]:
        """Name -> digest or version of each input, frozen into job.json; a resume with others is refused."""
        ...

    def plan(self) -> list[Item]:
        """All items, in order. Also the place for checks that need no work: raises FacewrightError early."""
        ...

    def stream(self, todo: list[Item], work: Work) -> Iterator[tuple[Item, Any]]:
        """Results in the order of `todo`. Ends early (returns) after the item in hand when work.stop.asked."""
        ...

    def commit(self, item: Item, result: Any) -> dict[str, Any]:
        """Make one result durable; returns the JSON record for the journal. Idempotent per item id."""
        ...

    def finish(self, records: Mapping[str, dict[str, Any]], work: Work) -> dict[str, Any]:
        """After all items: what spans them. Returns the summary (JSON-able) for user and ledger."""
        ...
