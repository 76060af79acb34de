"""Source faces + target faces -> the weights of a net that swaps them, in RUN; and which step trains which net."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from facewright.core.settings import check
from facewright.faceset.faceset import Faceset
from facewright.models import advice
from facewright.models.checkpoint import Checkpoint
from facewright.training.learn_step import LearnStep
from facewright.training.mask_step import MaskStep
from facewright.training.runs import learned_so_far
from facewright.training.settings import SwapTrain, settings_class
from facewright.training.start import begin, prepare_samples
from facewright.training.survey import Side, coverage_warning
from facewright.training.training import Training


class TrainStep(LearnStep):
    """SAEHD, AMP, Quick96. See LearnStep."""

    @staticmethod
    def from_job(args: dict[str, Any], settings: dict[str, Any]) -> LearnStep:
        """The step of a job.json: its class and the settings' depend on the net."""
        net = str(args["net"])
        args = {name: value for name, value in args.items() if name != "stages"}  # of jobs before there were plans
        return step_of(net)(**args, settings=check(settings_class(net), settings))

    def look(self) -> list[Side]:
        """The two people's faces, or those of the many."""
        if self.settings.pretrain:
            return [Side.many(self.settings.pretrain)]
        return [
            Side.of(name, Faceset.open(path, refresh=True), person)
            for name, path, person in (("src", self.src, self.src_person), ("dst", self.dst, self.dst_person))
        ]

    def begin(
        self, shape: Any, s: SwapTrain, saved: Checkpoint | None,
        prepared: Callable[[str], Callable[[int, int], None]],
    ) -> Training[Any]:
        """See LearnStep."""
        run = self.home()
        cut = [prepare_samples(run, x.faceset, x.found, x.name, shape, s, prepared(x.name)) for x in self.sides()]
        return begin(run, self.net, shape, s, cut[0], cut[-1], saved)

    def advice(self, t: Training[Any], data_before: dict[str, Any]) -> list[str]:
        """What a user should hear before hours are spent: poses, dims, masks, exchanged faces."""
        net, shape, s = self.net, t.net.settings, t.settings.model_dump()
        if self.settings.pretrain:
            return [a.text for a in [advice.out_of_proportion(net, shape)] if a is not None and not t.done]
        src, dst = (side.found for side in self.sides())
        found = [
            None if t.done else advice.without_pretraining(net, shape, learned_so_far(t.run)),
            advice.out_of_proportion(net, shape) if not t.done else None,
            advice.masks_of_two_models(src.masks, dst.masks),
            advice.without_masks(shape.face_type, s, src.masked_01, dst.masked_01),
            advice.other_faces(t.run.name, net, shape, data_before, self.data(), s["random_warp"]) if t.done else None,
        ]
        return [*filter(None, [coverage_warning(src, dst)]), *(a.text for a in found if a is not None)]


def step_of(net: str) -> type[LearnStep]:
    """The step that trains `net`."""
    return MaskStep if net == "xseg" else TrainStep
