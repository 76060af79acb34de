"""Settings of extraction, of exchange with other programs, and of the short steps. Loads neither cv2 nor any net."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator

from facewright.core.registry import Plug, Registry
from facewright.core.settings import Settings, Unfit, knob
from facewright.faces.settings import DetectSettings, FaceTypeName
from facewright.media.settings import SpanSettings

CLUSTER = "Spread the work over a dask cluster: address of its scheduler (tcp://HOST:8786), or its scheduler file"
"""Help of the knob `cluster`, wherever there is one."""

CHUNK_FRAMES = 32
"""Selected frames that are found, tracked and committed together."""

BATCH_FACES = 64
"""Faces that are worked on, and written, together."""

MIN_SIDE_PX, MAX_SIDE_PX = 128, 2048
LEAST_NATIVE_PX = 256
"""Smallest crop of `resolution auto`: smaller faces are enlarged to it."""

OBSTRUCTIONS = Registry("obstructions")
"""name -> function without arguments that gives `judge(picture (S, S, 3) uint8 RGB, face) -> share 0..1 hidden`."""

OBSTRUCTIONS.add(Plug(
    "generic", "facewright.masks.hidden:generic", "what the mask net that comes along leaves out of the face",
))


class ExtractSettings(DetectSettings, SpanSettings):
    """How films become a faceset."""

    face_type: FaceTypeName = knob(
        "whole_face", "How much of the head a crop holds, from tight to wide; h, mf, f and wf are understood as well"
    )
    resolution: int | Literal["auto"] = knob(
        512, "Side of the crops: 128..2048 in steps of 16; auto = each face at its own size in the frame, 256..2048; "
        "0 (or the word estimate) = one side for all, so that nine in ten faces keep every pixel", unit="px",
    )
    max_faces: int = knob(0, "Keep at most so many faces of a frame, the largest; 0 = all", low=0, high=100)
    fps: float = knob(
        0.0, "Look at so many frames of each second; 0 = every frame (right for the film that gets the new face)",
        low=0.0, high=240.0, unit="1/s",
    )
    jpeg_quality: int = knob(95, "Quality of the face files; 0 = lossless PNG", low=0, high=100)
    crop: Literal["cubic", "lanczos4", "linear"] = knob(
        "cubic", "How crops are resampled; crops that shrink more than 2x are averaged first"
    )
    min_presence: float = knob(
        0.0, "Leave out faces of which the landmark net is less sure than this; 0 = keep and flag them",
        low=0.0, high=1.0, step=0.01,
    )
    obstructions: str = knob(
        "none", "Look for hands and things before faces, and flag those: none, generic (the mask net that comes along, "
        "0.1 s a face), or a plug-in's name"
    )
    debug: bool = knob(False, "Also write pictures with boxes and points drawn in, under FACESET/debug")
    shots: bool = knob(
        True, "Find the cuts of a film, too (reads it once more, small): each face then knows its shot"
    )
    workers: int = knob(
        0, "Processes that look for faces; 0 = one for every two cores, fewer for short films", low=0, high=64
    )
    cluster: str = knob("", CLUSTER)

    @field_validator("resolution", mode="before")
    @classmethod
    def _a_side(cls, value: Any) -> Any:
        if value in ("auto", "estimate"):
            return value if value == "auto" else 0
        side = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
        fits = isinstance(side, int) and (side == 0 or (MIN_SIDE_PX <= side <= MAX_SIDE_PX and side % 16 == 0))
        if not fits or isinstance(side, bool):
            raise Unfit(
                f"A side is a multiple of 16 from {MIN_SIDE_PX} to {MAX_SIDE_PX} px.",
                remedy="Give such a number, auto (each face at its own size), or 0 (estimate one side for all).",
            )
        return side

    @property
    def side_px(self) -> int:
        """The side that all crops have, 0 where it must be estimated or each face has its own."""
        return 0 if self.resolution == "auto" else self.resolution

    @property
    def native(self) -> bool:
        """Whether each face keeps its own size."""
        return self.resolution == "auto"

    def deciding(self) -> dict[str, object]:
        """The settings that decide which faces come out, JSON-able: processes, threads and debug pictures do not."""
        return self.model_dump(mode="json", exclude={"net_threads", "debug", "workers", "cluster"})


class FacesImportSettings(Settings):
    """How faces of other programs become ours. All but DeepFaceLab's are cut anew from the frames."""

    face_type: FaceTypeName = knob(
        "whole_face", "Of alignments (.fsa): how much of the head a crop holds; DeepFaceLab's faces keep their own type"
    )
    resolution: int = knob(
        512, "Of alignments (.fsa): side of the crops", low=MIN_SIDE_PX, high=MAX_SIDE_PX, step=16, unit="px"
    )
    jpeg_quality: int = knob(
        95, "Of alignments (.fsa): quality of the face files, 0 = lossless PNG; DeepFaceLab's stay as they are",
        low=0, high=100,
    )


class FacesExportSettings(Settings):
    """How faces leave for other programs."""

    format: Literal["dfl"] = knob("dfl", "dfl = DeepFaceLab's folder `aligned`")
    pak: bool = knob(False, "Write one faceset.pak instead of single files")


class SmoothSettings(Settings):
    """How landmarks are steadied over time."""

    strength: float = knob(
        0.75, "How long a stretch of time steadies a point; 0 = off: every face has its measured points again",
        low=0.0, high=1.0, step=0.05,
    )


class GapSettings(Settings):
    """Which gaps of tracks are filled."""

    up_to: int = knob(12, "Longest gap that is filled, in frames that were looked at", low=1, high=500)


class AgainSettings(DetectSettings):
    """How chosen frames are looked at once more."""

    max_faces: int = knob(0, "Keep at most so many faces of a frame, the largest; 0 = all", low=0, high=100)
    min_presence: float = knob(
        0.0, "Leave out faces of which the landmark net is less sure than this; 0 = keep and flag them",
        low=0.0, high=1.0, step=0.01,
    )
    only_new: bool = knob(False, "Only add faces where none is: replace nothing")


class PackSettings(Settings):
    """How a faceset becomes one file."""

    folders: Literal["keep", "person", "film"] = knob(
        "keep", "Folders inside: as they are, one per person, or one per film"
    )


class UnpackSettings(Settings):
    """How a packed faceset becomes a folder again."""

    salvage: bool = knob(False, "The file is damaged: bring back every face that is whole, name the others")


class ChoiceSettings(Settings):
    """Which faces of a set are meant: those that fit all that is said."""

    person: str = knob("", "Only faces of this person")
    film: str = knob("", "Only faces of this film (its name, or the beginning of its digest)")
    flag: str = knob("", "Only faces that carry this flag, such as `profile`; `faces info` counts them")
    no_flag: str = knob("", "Only faces that do not carry this flag")
    where: str = knob(
        "", "Only faces in these ranges: `yaw_deg=-30..30 sharpness=50.. shot=2`; names: yaw_deg, pitch_deg, roll_deg, "
        "sharpness, score, presence_01, frame_index, side_px, shot, track, picture"
    )
