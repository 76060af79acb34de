"""Training: the loop, from the first iteration to the last."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch

from facewright.training import clock, guard, machine
from facewright.training.desk import Desk
from facewright.training.objectives import Reduction
from facewright.training.training import Pass, Training


def train(t: Training[Any], desk: Desk) -> bool:
    """Learn until the budget is used up (True) or somebody asks to stop (False). All of training is on this page.

    A net that falls apart raises Collapsed, a number that is not one before it can touch the weights; the last save
    stays sound.
    """
    finite = guard.FiniteCheck(t.device)
    # The original differentiates the sum over the batch (quirk Q5); AdamW's recipes were measured on the mean.
    how: Reduction = "mean" if t.settings.optimiser == "adamw" else "sum"
    t.net.train()
    for i in itertools.count(t.done):  # i iterations are done
        t.clock.tick()
        desk.serve(i)  # wishes of the user, stages of the recipe, saves and previews that are due
        over = desk.over or clock.over(t.settings, i, t.clock.moment_s)
        end = "over" if over else "stop" if desk.work.stop.asked else ""
        if t.team.border(end, t.clock.moment_s):  # where several learn, all go by what the first process decided
            desk.level(i)
        if end:
            return over

        seen, losses = _gathered(t, desk, i, how, finite)
        used = clock.share(t.settings, i, t.clock.moment_s)
        t.before_step(i, clock.learning_rate(t.settings, i, used))
        t.whole = False
        t.optimiser.step()
        if t.ema is not None:
            t.ema.update()
        t.teach_others(seen, i, how)

        t.done, t.whole = i + 1, True
        desk.reports.scalars(i + 1, losses)
    raise AssertionError("count() has no end")


Seen = list[tuple[Any, Pass]]


def _gathered(
    t: Training[Any], desk: Desk, i: int, how: Reduction, finite: guard.FiniteCheck
) -> tuple[Seen, torch.Tensor]:
    """The gradient of iteration `i`, of all processes: what was made, pass by pass, and the two losses to tell. Where
    memory does not suffice, in more passes of fewer faces from now on."""
    while True:
        t.net.zero_grad(set_to_none=True)
        passed = None
        try:
            passed = _passed(t, i, how, finite)
        except guard.NO_MEMORY as error:
            if not guard.no_memory(error) or not desk.back_off(i):
                raise
        if passed is None:
            t.net.zero_grad(set_to_none=True)
            machine.let_go(t.device)  # out here, where the error no longer holds what the pass had made
        if t.team.alone and passed is None:
            continue
        losses = _added_up(t, i, how, passed)
        if passed is not None and losses is not None:
            return passed[0], losses
        if passed is not None:
            desk.back_off(i)  # with the process whose memory did not suffice


def _added_up(
    t: Training[Any], i: int, how: Reduction, passed: tuple[Seen, dict[str, torch.Tensor]] | None
) -> torch.Tensor | None:
    """Sum gradients and losses over all processes: (2,) losses of the whole batch; None where the memory of one of
    them, this one if `passed` is None, did not suffice. Raises Collapsed in all of them alike, Parted."""
    terms = passed[1] if passed is not None else {}
    own = t.figures(terms, how) if terms else torch.zeros(2, device=t.device)
    if t.team.alone:
        return own
    loss = torch.stack(list(terms.values())).sum() if terms else own.new_zeros(())
    short = own.new_tensor(0.0 if terms else 1.0)
    whole = t.team.add_up(t.net.parameters(), torch.cat([own.float(), torch.stack([loss.float(), short.float()])]))
    found, lacking = whole[2:].tolist()
    if lacking:
        return None
    if not math.isfinite(found):
        raise guard.not_a_number(i + 1, [name for name, value in terms.items() if not bool(value.isfinite().all())])
    return whole[:2]


def _passed(
    t: Training[Any], i: int, how: Reduction, finite: guard.FiniteCheck
) -> tuple[Seen, dict[str, torch.Tensor]]:
    seen, total = Seen(), dict[str, torch.Tensor]()
    for one in t.passes(i):  # a function of (seed, i): nothing to store, nothing to lose
        with t.autocast():
            made, terms = t.judge(i, one, how)
        loss = torch.stack(list(terms.values())).sum()
        finite.watch(loss)
        loss.backward()
        if t.team.alone:  # else all find it together, see _added_up
            finite.confirm(i + 1, terms)  # before the update: good weights stay good
        if t.teaches_others:
            seen.append((made, one))  # else its memory is free before the next pass
        total = {name: total.get(name, 0) + value.detach() for name, value in terms.items()}
    return seen, total
