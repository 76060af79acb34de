"""Trained nets in a script: arrays in, arrays out. `facewright.load_model` is the door, and it asks the gate."""

from __future__ import annotations

import threading
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from facewright.api.trust import permit_at
from facewright.core.errors import Mismatch, SettingRefused
from facewright.project import run_place

if TYPE_CHECKING:
    from facewright.faces.face import FaceType
    from facewright.masks.by_net import Predictor
    from facewright.merge.dfm import DfmSwapper
    from facewright.merge.predict import Prediction
    from facewright.merge.settings import MergeSettings
    from facewright.merge.trained import NetSwapper

STAGE, MASK_STAGE = "preview", "label"
"""What the gate is asked: a prediction is a look at the people whom a net learned; a mask shows nobody."""


class Swapper:
    """A net that puts the source's face in the place of others. Made by `load_model`.

    resolution: R, the side of its faces in px. face_type: which part of the head they show. iteration: how long it was
    trained. net: saehd, quick96, amp, or dfm (a file that does not say which). takes_morph: whether the likeness can be
    dosed. identity: names the exact weights. Threads may share it: they take turns.
    """

    def __init__(self, inner: NetSwapper | DfmSwapper, net: str, batch_size: int) -> None:
        self.resolution: int = inner.resolution
        self.face_type: FaceType = inner.face_type
        self.iteration: int = inner.iteration
        self.net, self.takes_morph = net, bool(inner.takes_morph)
        self.identity: str = inner.identity.rsplit(":", 1)[0] if self.takes_morph else inner.identity
        self._inner, self._parts = inner, _Parts(batch_size)

    def predict(self, faces: np.ndarray, morph: float = 1.0) -> Prediction:
        """(B, R, R, 3) float32 RGB 0..1 -> Prediction: image (B, R, R, 3), mask_swap and mask_own (B, R, R, 1), all
        float32 0..1; image RGB.

        Any B: the net sees `batch_size` faces at a time. morph: share of the source's likeness, 0..1; only nets that
        take it can give other than 1. Raises Mismatch (other arrays), SettingRefused (morph).
        """
        from facewright.merge.predict import Prediction

        _check_faces(faces, self.resolution, self.face_type)
        self._check_morph(morph)

        def made(part: np.ndarray) -> tuple[np.ndarray, ...]:
            one = self._inner.predict(part, float(morph))
            return one.image, one.mask_swap, one.mask_own

        image, mask_swap, mask_own = self._parts.run(faces, made, (3, 1, 1))
        return Prediction(("",) * len(faces), self.face_type, image, mask_swap, mask_own)

    def _check_morph(self, morph: float) -> None:
        if isinstance(morph, bool) or not isinstance(morph, int | float | np.number) or not 0 <= morph <= 1:
            raise SettingRefused(
                f"morph cannot be {morph!r}.", why="It is the share of the source's likeness.",
                remedy="Give a number from 0 (the target's own looks) to 1 (the source's).", where="morph",
            )
        if morph != 1 and not self.takes_morph:
            raise SettingRefused(
                f"This {self.net} net cannot dose the likeness.", why="Only AMP nets learn to.",
                remedy="Leave morph out; `takes_morph` tells which nets take it.", where="morph",
            )

    def __repr__(self) -> str:
        return f"<Swapper {self.net}, {self.resolution} px {self.face_type}, iteration {self.iteration}>"


class MaskNet:
    """An XSeg net: which part of a picture is face. Made by `load_model`; attributes as of `Swapper`.

    face_type is None where an .onnx file of another program does not say it.
    """

    takes_morph = False

    def __init__(self, inner: Predictor, batch_size: int) -> None:
        self.resolution: int = inner.resolution
        self.face_type: FaceType | None = inner.face_type
        self.iteration: int = inner.iteration
        self.net, self.identity = "xseg", inner.identity
        self._inner, self._parts = inner, _Parts(batch_size)

    def predict_mask(self, faces: np.ndarray) -> np.ndarray:
        """(B, 256, 256, 3) float32 RGB 0..1 -> (B, 256, 256, 1) float32 0..1, 1 = face. Any B. Raises Mismatch."""
        _check_faces(faces, self.resolution, self.face_type)
        (mask,) = self._parts.run(faces, lambda part: (self._inner.predict(part),), (1,))
        return mask

    def __repr__(self) -> str:
        return f"<MaskNet {self.net}, {self.resolution} px {self.face_type or ''}, iteration {self.iteration}>"


class _Parts:
    """Runs a net over any number of faces, a few at a time and one thread at a time: what it needs stays the same."""

    def __init__(self, at_once: int) -> None:
        self.at_once, self.turn = at_once, threading.Lock()

    def run(
        self, faces: np.ndarray, made: Callable[[np.ndarray], tuple[np.ndarray, ...]], channels: tuple[int, ...]
    ) -> tuple[np.ndarray, ...]:
        """`made` of all faces: one array (B, R, R, c) float32 for each of `channels`."""
        whole = tuple(np.empty((*faces.shape[:3], c), np.float32) for c in channels)
        for start in range(0, len(faces), self.at_once):
            rows = slice(start, start + self.at_once)
            with self.turn:
                parts = made(faces[rows])
            for array, part in zip(whole, parts, strict=True):
                array[rows] = part
        return whole


def load_model(
    run_or_file: str | PathLike[str], *, device: str = "auto", ema: bool = True,
    precision: Literal["float32", "bfloat16"] = "float32", batch_size: int = 8,
) -> Swapper | MaskNet:
    """A trained RUN folder, a .dfm file, or the .onnx file of an XSeg model -> the net, ready to predict.

    device: auto (the first GPU, else the CPU), cpu, cuda, cuda:1 ... ema: the running mean of the weights where the run
    has one, else the last ones. precision: of a run's net; a file has its own. batch_size: faces that the net sees at
    a time.

    Everybody whose face the net learned needs a record of consent that allows `preview` where it lies. Raises
    ConsentRefused, FileRefused (no run, no such file), NothingFound (nothing trained yet), SettingRefused.
    """
    from facewright.core.settings import check
    from facewright.masks.by_net import ONNX
    from facewright.merge.predict import is_dfm
    from facewright.merge.settings import MergeSettings

    place = run_place(Path(run_or_file))
    values = {"device": device, "ema": ema, "precision": precision, "batch_size": batch_size}
    chosen = check(MergeSettings, values)
    if place.suffix.lower() == ONNX and not place.is_dir():
        return _mask_file(place, chosen)
    return _swap_file(place, chosen) if is_dfm(place) else _run(place, chosen)


def _run(place: Path, s: MergeSettings) -> Swapper | MaskNet:
    from facewright.models.run_folder import RunFolder

    net = RunFolder.open(place).net
    if net == "xseg":
        from facewright.masks.trained import trained_net

        permit_at(place, MASK_STAGE, [])
        return MaskNet(trained_net(place, s.device, ema=s.ema, bf16=s.precision == "bfloat16"), s.batch_size)
    _ask(place)
    from facewright.merge.trained import open_run

    return Swapper(open_run(place, s), net, s.batch_size)


def _swap_file(place: Path, s: MergeSettings) -> Swapper:
    from facewright.merge.dfm import held, open_dfm

    _as_it_is(place, s)
    file = held(place)
    try:
        _ask(place)
        found = open_dfm(place, s)
    finally:
        del file  # a refusal's traceback would keep it
    return Swapper(found, found.net, s.batch_size)


def _mask_file(place: Path, s: MergeSettings) -> MaskNet:
    from facewright.masks.exported import open_exported

    _as_it_is(place, s)
    permit_at(place, MASK_STAGE, [])
    return MaskNet(open_exported(place, s.device), s.batch_size)


def _ask(place: Path) -> None:
    """Raise ConsentRefused unless everybody whom the net learned allows a look."""
    from facewright.merge.people import people_of

    permit_at(place, STAGE, people_of(place))


def _as_it_is(place: Path, s: MergeSettings) -> None:
    if not s.ema or s.precision != "float32":
        raise SettingRefused(
            f"{place.name} holds one set of weights in a precision of its own.",
            why="ema and precision choose among what a run keeps.",
            remedy="Leave them out, or load the run that the file was exported from.", where=place,
        )


def _check_faces(faces: Any, side: int, face_type: FaceType | None) -> None:
    """Raise Mismatch with the way to mend it unless `faces` are (B, side, side, 3) float32 in 0..1."""
    if not isinstance(faces, np.ndarray):
        raise _unfit(f"a {type(faces).__name__}", "Give a numpy array; of a torch tensor: faces.cpu().numpy().")
    if faces.ndim != 4 or faces.shape[1:] != (side, side, 3):
        raise _unfit(f"an array of the shape {faces.shape}", _shape_remedy(faces.shape, side, face_type or "face"))
    if faces.dtype != np.float32:
        scaled = " / 255" if faces.dtype == np.uint8 else ""
        raise _unfit(f"an array of {faces.dtype}", f"Give faces.astype(np.float32){scaled}.")
    low, high = (float(faces.min()), float(faces.max())) if faces.size else (0.0, 1.0)
    if not (low >= 0 and high <= 1):  # written so that NaN fails it
        raise _unfit(f"an array with values from {low:g} to {high:g}", _range_remedy(low, high))


def _shape_remedy(shape: tuple[int, ...], side: int, kind: str) -> str:
    if len(shape) == 3 and shape[2] == 3:
        return "Of one face, give faces[None]."
    if len(shape) == 4 and shape[3] != 3:
        if shape[1] == 3:
            return "Channels come last: give faces.transpose(0, 2, 3, 1)."
        if shape[3] in (1, 4):
            return f"Give three channels: faces{'.repeat(3, axis=3)' if shape[3] == 1 else '[..., :3]'}."
    return f"Give (B, {side}, {side}, 3): {kind} pictures of {side} px."


def _range_remedy(low: float, high: float) -> str:
    if not np.isfinite([low, high]).all():
        return "Give numbers: np.isfinite(faces) finds where they are none."
    if low >= 0 and 2 < high <= 255:
        return "Give faces / np.float32(255)."
    return "Bring them to 0..1; where a resize ran over a little: np.clip(faces, 0, 1)."


def _unfit(found: str, remedy: str) -> Mismatch:
    return Mismatch(
        f"The net cannot take {found}.", why="Faces are (B, R, R, 3), float32, RGB in 0..1.", remedy=remedy,
        where="faces",
    )
