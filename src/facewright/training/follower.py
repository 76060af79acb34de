"""A process that learns beside the first one: it asks nobody, writes nothing, and does what the first one decided."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

from torch import Tensor

from facewright.core.errors import FacewrightError, Mismatch
from facewright.core.settings import check
from facewright.core.step import Stop
from facewright.models import checkpoint
from facewright.models.run_folder import is_run
from facewright.training import guard, machine
from facewright.training.collapse import Collapsed
from facewright.training.lead import facts_of, meet
from facewright.training.learn_step import LearnStep
from facewright.training.loop import train
from facewright.training.reset import reset_live
from facewright.training.settings import settings_class
from facewright.training.swap_step import step_of
from facewright.training.team import Parted, Team, join, store_of
from facewright.training.training import Training


def follow() -> None:
    """Learn until the first process says that it is over. Raises FacewrightError: Parted, or this one's own trouble."""
    rank, size, parent = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), os.getppid()
    store = store_of(os.environ)
    device = machine.own_device(store.get("device").decode())
    store.set(f"here/{rank}", "")
    team = join(store, rank, size, device)
    team.lives = lambda: os.getppid() == parent
    if threading.current_thread() is threading.main_thread():
        for name in (signal.SIGINT, signal.SIGTERM):  # a terminal sends them to all; the first one ends this one
            signal.signal(name, signal.SIG_IGN)
    try:
        call = team.hear()
        while "step" in call:
            call = _session(team, call)
    except Parted:
        raise
    except FacewrightError as error:
        team.last_words(f"{error.what} {error.remedy}")
        raise
    except Exception as error:
        team.last_words(f"{type(error).__name__}: {error}"[:300])
        raise
    finally:
        team.leave()


class Called(Exception):
    """The first process begins again, or ends, instead of going on."""

    def __init__(self, message: dict[str, Any]) -> None:
        super().__init__()
        self.message = message


class Follower:
    """What the Desk is in the first process."""

    def __init__(self, t: Training[Any]) -> None:
        self.t, self.over, self.reports = t, False, self
        self.work = SimpleNamespace(stop=Stop())

    def serve(self, iteration: int) -> None:
        """Hear what was decided, and do it. Raises Called, Parted."""
        order = self.t.team.hear()
        if "used_s" not in order:
            raise Called(order)
        self.t.clock.moment_s = order["used_s"]
        for deed in order.get("deeds", ()):
            DEEDS[deed["do"]](self.t, deed)
        self.t.advance(iteration)
        end = order.get("end", "")
        self.over = end == "over"
        if end == "stop":
            self.work.stop.ask()

    def back_off(self, iteration: int) -> bool:
        """As the Desk's, without a word."""
        values = self.t.fewer_at_once()
        if values:
            self.t.settings = self.t.settings.model_copy(update=values)
            self.t.settle()
        return bool(values)

    def scalars(self, iteration: int, losses: Tensor) -> None:
        """The first process has them."""


def _take_over(t: Training[Any], deed: Mapping[str, Any]) -> None:
    t.settings = type(t.settings).model_construct(**deed["settings"])  # checked by the first process
    t.settle()


DEEDS: dict[str, Callable[[Training[Any], Mapping[str, Any]], Any]] = {
    "settings": _take_over,
    "reset": lambda t, deed: reset_live(t, deed["part"], deed["seed"]),
    "level": lambda t, _: t.team.level(t.modules()),
}
"""What the first process may have done at a border (see Team.also) -> the same here."""


class _ToldClock:
    """Time as the first process reads it."""

    def __init__(self, used_s: float) -> None:
        self.used_s = self.moment_s = used_s

    def tick(self) -> None:
        """It comes with the order."""


def _session(team: Team, call: dict[str, Any]) -> dict[str, Any]:
    """One training from its start on; what the first process says after it."""
    step = step_of(call["step"]["net"])(
        **call["step"], settings=check(settings_class(call["step"]["net"]), call["settings"])
    )
    device = machine.device_of(step.settings)
    with machine.borrowed(step.settings, device), guard.memory_advice(machine.batch_of(step.settings, device),
                                                                      step.settings):
        t = _begun(team, step, call)
        try:
            train(t, cast(Any, Follower(t)))
        except Collapsed:
            pass  # the first process knows it by the same number, and says what follows
        except Called as other:
            return other.message
        finally:
            t.close()
    return team.hear()


def _begun(team: Team, step: LearnStep, call: Mapping[str, Any]) -> Training[Any]:
    try:
        if not is_run(step.home()):
            raise Mismatch(
                f"The model {step.home()} is not there in process {team.rank + 1}.",
                remedy="All machines must reach the model and both facesets by the same paths.", where=step.home(),
            )
        taken = type(step.settings).model_construct(**call["taken_up"])  # checked by the first process
        saved = checkpoint.load_latest(step.home())
        t = step.begin(step.shape_settings(), taken, saved, lambda name: lambda done, total: None)
        t.ema = None  # kept by the first one
        t.clock = _ToldClock(t.clock.moment_s)  # type: ignore[assignment]
        t.enter(team)
        t.take_up_others()
    except FacewrightError as error:
        meet(team, {"error": error.as_dict(), "rank": team.rank})
        raise
    meet(team, facts_of(t))
    return t
