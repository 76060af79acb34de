"""Training of a net that draws masks: XSeg."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from facewright.models.xseg import XSeg
from facewright.training import preview
from facewright.training.labelled import LabelledBatch, LabelledBatches
from facewright.training.objectives import Reduction, grey, mask_objective
from facewright.training.settings import TrainSettings
from facewright.training.training import Pass, Training

LEARNED = ("labelled face", "its label", "learned mask")
UNSEEN = ("other face", "learned mask", "what is left")
PAINTED = ("face", "in grey", "painted")
_GREEN = (0.0, 1.0, 0.0)
_JUDGED = 32


@dataclass
class Masking(Training[TrainSettings]):
    """See Training. unlabelled (n, 3, R, R) uint8 BGR: faces that nobody labelled, for the preview."""

    net: XSeg
    batches: LabelledBatches = field(kw_only=True)
    unlabelled: np.ndarray = field(kw_only=True)

    curves: ClassVar[tuple[str, ...]] = ("mask",)

    def passes(self, iteration: int) -> Iterator[Pass]:
        """See Training."""
        for part, parts in self.parts():
            yield Pass(self.batches.get(self.settings.seed, iteration, part, parts), part, parts)

    def judge(self, iteration: int, one: Pass, how: Reduction) -> tuple[Tensor, dict[str, Tensor]]:
        """See Training."""
        batch: LabelledBatch = one.batch
        pretrain = bool(self.settings.pretrain)
        logits = self.net(batch.input, pretrain)
        terms = mask_objective(logits, self._wanted(batch), pretrain=pretrain, reduction=how)
        return logits, self.weighed(terms, one, how)

    def figures(self, terms: dict[str, Tensor], how: Reduction) -> Tensor:
        """The loss, and nothing."""
        count = self.batch if how == "sum" else 1
        loss = torch.stack([value.detach() for value in terms.values()]).sum() / count
        return torch.stack([loss, torch.full_like(loss, torch.nan)])

    def life(self) -> float:
        """See Training: over all labels at once, since a single one may be plain."""
        face = self._labelled_faces()
        with torch.no_grad(), self.autocast():
            made = torch.sigmoid(self.net(face.input, bool(self.settings.pretrain)))
        return preview.life(*(x.flatten(0, 2)[None, None] for x in (made, self._wanted(face))))

    def close(self) -> None:
        """See Training."""
        self.batches.close()

    def best_masks(self, pictures: Tensor) -> Tensor:
        """(B, 3, R, R) BGR -> (B, 1, R, R) masks by the running mean of the weights."""
        weights = self.ema.tensors() if self.ema is not None else {}
        with torch.no_grad(), self.autocast():
            return torch.sigmoid(functional_call(self.net, weights, (pictures, bool(self.settings.pretrain))))

    def agreement(self, held_out: bool) -> float:
        """Mean intersection over union 0..1 of learned masks with labels, over up to 32 faces; NaN without any."""
        found = []
        for k, samples in enumerate(self.batches.samples):
            rows = samples.held_out() if held_out else samples.chosen
            for row in rows[preview.pick(len(rows), _JUDGED // len(self.batches.samples))]:
                face = self.batches.plain(k, np.array([row]))
                inside, wanted = self.best_masks(face.input) >= 0.5, face.target >= 0.5
                found.append(float((inside & wanted).sum() / (inside | wanted).sum().clamp(min=1)))
        return float(np.mean(found)) if found else float("nan")

    def picture(self, headline: str) -> bytes:
        """Labelled faces with label and learned mask; beside them faces that the net was never shown, where there are
        such. What counts as outside is green. While pretraining: the pictures that the net paints in grey."""
        face = self._labelled_faces()
        if self.settings.pretrain:
            pictures = (face.input, *(x.expand(-1, 3, -1, -1) for x in (grey(face.input), self.best_masks(face.input))))
            return preview.sheet(_rows(pictures)[None], headline, [PAINTED])
        seen, unseen = self.agreement(False), self.agreement(True)
        headline += f"   agreement (IoU) {seen:.3f}" + (f", held out {unseen:.3f}" if unseen == unseen else "")
        left = (face.input, _tinted(face.input, face.target), _tinted(face.input, self.best_masks(face.input)))
        blocks, labels = [_rows(left)], [LEARNED]
        if len(self.unlabelled):
            other = torch.from_numpy(self.unlabelled).to(self.device).float() / 255
            masks = self.best_masks(other)
            blocks.append(_rows((other, masks.expand(-1, 3, -1, -1), _tinted(other, masks))))
            labels.append(UNSEEN)
        count = min(len(b) for b in blocks)
        return preview.sheet(np.stack([b[:count] for b in blocks]), headline, labels)

    def _wanted(self, batch: LabelledBatch) -> Tensor:
        """What the net should make of a batch: the mask, or while pretraining the picture in grey."""
        return grey(batch.input) if self.settings.pretrain else batch.target

    def _labelled_faces(self) -> LabelledBatch:
        """Four, taken evenly from all sets."""
        per_set = -(-4 // len(self.batches.samples))
        some = [self.batches.plain(k, s.chosen[preview.pick(len(s.chosen), per_set)])
                for k, s in enumerate(self.batches.samples)]
        return LabelledBatch(torch.cat([x.input for x in some])[:4], torch.cat([x.target for x in some])[:4])


def _tinted(pictures: Tensor, masks: Tensor) -> Tensor:
    """Half green where the mask is 0, as it was where it is 1 (models-and-training.md section 6)."""
    green = pictures.new_tensor(_GREEN).view(1, 3, 1, 1)
    return pictures * masks + (pictures + green) / 2 * (1 - masks)


def _rows(columns: tuple[Tensor, ...]) -> np.ndarray:
    """Columns (n, 3, R, R) BGR 0..1 -> (n, columns, R, R, 3) uint8 RGB."""
    tiles = torch.stack(columns, 1).float().clamp(0, 1)
    return (tiles * 255 + 0.5).to(torch.uint8).cpu().numpy().transpose(0, 1, 3, 4, 2)[..., ::-1]
