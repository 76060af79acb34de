"""Labelled faces -> the weights of a mask net in RUN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from facewright.core.errors import NothingFound
from facewright.faces.face import FaceType
from facewright.faceset.faceset import Faceset
from facewright.models.checkpoint import Checkpoint
from facewright.training import preview
from facewright.training.labelled import cut_labelled, is_drawn, is_masked, prepare_labelled
from facewright.training.learn_step import LearnStep
from facewright.training.samples import choose
from facewright.training.settings import TrainSettings
from facewright.training.start import CACHE, begin_masking
from facewright.training.survey import Side, all_count, rows_of
from facewright.training.training import Training


class MaskStep(LearnStep):
    """Both facesets' labelled faces together; one of the two may be left out. See LearnStep."""

    def look(self) -> list[Side]:
        """The drawn faces of the sets that have any; where no set has, the masked ones; while pretraining all faces of
        the set of many. Raises NothingFound."""
        if self.settings.pretrain:
            self._counts = all_count
            return [Side.many(self.settings.pretrain)]
        asked = (("src", self.src, self.src_person), ("dst", self.dst, self.dst_person))
        given = [(name, Faceset.open(path, refresh=True), who) for name, path, who in asked if path]
        for counts in (is_drawn, is_masked):
            having = [x for x in given if any(rows_of(x[1], x[2], counts))]
            if having:
                self._counts = counts
                return [Side.of(name, faceset, who, counts, least=1) for name, faceset, who in having]
        names = " and ".join(faceset.path.name for _, faceset, _ in given)
        raise NothingFound(
            f"No face of {names} has a label or a mask.", why="A mask net learns from faces whose mask is known.",
            remedy="Bring labels in with `facewright mask labels import`, or masks with `facewright mask apply`.",
            where=given[0][1].path,
        )

    def begin(
        self, shape: Any, s: TrainSettings, saved: Checkpoint | None,
        prepared: Callable[[str], Callable[[int, int], None]],
    ) -> Training[Any]:
        """See LearnStep."""
        wanted, cut = FaceType(shape.face_type), []
        for side in self.sides():
            folder = self.home() / CACHE / side.name
            samples = prepare_labelled(folder, side, self._counts, wanted, shape.resolution, prepared(side.name))
            cut.append(samples.limited(choose(samples.frames, s.hold_out, s.hold_out_last)))
        return begin_masking(self.home(), shape, s, cut, self._others(wanted, shape.resolution), saved)

    def advice(self, t: Training[Any], data_before: dict[str, Any]) -> list[str]:
        """What a user should hear: few labels, masks that stand in for drawings."""
        count = sum(side.found.count for side in self.sides())
        found: list[str] = []
        if self._counts is all_count:
            return found
        if self._counts is is_masked:
            found.append("No face is labelled: the stored masks are learned instead.")
        elif count < 20:
            found.append(f"Only {count} faces are labelled; 50 to 100 of different poses, lights and expressions are "
                         "usual. `facewright mask suggest` names those to label next.")
        return found

    def _others(self, face_type: FaceType, side_px: int) -> np.ndarray:
        """Up to four faces without a label, (n, 3, R, R) uint8 BGR, for the preview."""
        found = []
        for side in self.sides():
            rows = [row for row in side.faceset.rows() if not self._counts(row)]
            for at in preview.pick(len(rows), -(-4 // len(self.sides()))):
                face, image, _ = side.faceset.load(rows[at])
                empty = np.zeros(image.shape[:2], np.uint8)
                found.append(cut_labelled((face, image, empty), face_type, side_px)[:3])
        return np.stack(found[:4]) if found else np.zeros((0, 3, side_px, side_px), np.uint8)
