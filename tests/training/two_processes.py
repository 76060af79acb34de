"""Program: `two_processes.py PLAN RANK` learns every case of the plan as process RANK of two, as torchrun starts it.

PLAN: JSON list of cases: folder, port, step (arguments), settings, asks (call number -> wishes), trick. The first
process writes what it was told to FOLDER.json.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

from facewright.core.errors import FacewrightError
from facewright.core.settings import check
from facewright.core.step import Work
from facewright.training import follower
from facewright.training.settings import settings_class
from facewright.training.swap_step import step_of
from facewright.training.training import Training


def no_memory(iteration, terms):
    """In the second process, once: a pass does not fit."""
    if iteration == 1 and not tricked:
        tricked.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory")


def no_number(iteration, terms):
    """In the second process, once."""
    if iteration == 2 and not tricked:
        tricked.append(1)
        name = next(iter(terms))
        terms[name] = terms[name] * float("nan")


TRICKS = {"no memory": no_memory, "no number": no_number}
tricked = []


def play(trick):
    """Have every training of this process suffer the trick."""
    for cls in Training.__subclasses__():
        judge = cls.judge

        def tricky(self, iteration, one, how, judge=judge):
            made, terms = judge(self, iteration, one, how)
            trick(iteration, terms)
            return made, terms

        cls.judge = tricky


def drift(t, deed, level=follower.DEEDS["level"]):
    """The second process has gone another way."""
    with torch.no_grad():
        next(t.net.parameters()).add_(1e-3)
    level(t, deed)


def lead(case):
    """The first process: an ordinary training."""
    notes, calls, asks = [], [0], {int(k): v for k, v in case["asks"].items()}

    def changes():
        calls[0] += 1
        return asks.get(calls[0] - 1, [])

    net = case["step"]["net"]
    step = step_of(net)(**case["step"], settings=check(settings_class(net), case["settings"]))
    work = Work(changes=changes, note=lambda kind, **facts: notes.append([kind, facts]))
    told = {"notes": notes}
    try:
        told["result"] = next(iter(list(step.stream(step.plan(), work))))[1]
    except FacewrightError as error:
        told["error"] = error.as_dict()
    Path(case["folder"] + ".json").write_text(json.dumps(told, default=str))


def main():
    rank = int(sys.argv[2])
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    for case in json.loads(Path(sys.argv[1]).read_text()):
        os.environ["MASTER_PORT"] = str(case["port"])
        if rank == 0:
            lead(case)
            continue
        before = {cls: cls.judge for cls in Training.__subclasses__()}
        tricked.clear()
        if case["trick"] in TRICKS:
            play(TRICKS[case["trick"]])
        if case["trick"] == "drift":
            follower.DEEDS["level"] = drift
        try:
            follower.follow()
        except FacewrightError as error:
            print(error.what, error.why, file=sys.stderr)
        for cls, judge in before.items():
            cls.judge = judge


if __name__ == "__main__":
    main()
