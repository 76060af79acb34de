"""Settings of extraction. Loads neither cv2 nor any net."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import field_validator

from facewright.core.registry import Plug, Registry
from facewright.core.settings import Settings, Unfit, knob
from facewright.faces.settings import BOTH_SPELLINGS, DetectSettings, FaceTypeName
from facewright.media.settings import SpanSettings

CLUSTER = "Spread the work over a dask cluster: address of its scheduler (tcp://HOST:8786), or its scheduler file"
"""Help of the knob `cluster`, wherever there is one."""

CHUNK_FRAMES = 32
"""Selected frames that are found, tracked and committed together."""

BATCH_FACES = 64
"""Faces that an import or export commits together."""

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
        True, "Find the cuts of a film first (reads it once more, small): each face then knows its shot"
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

    def detection(self) -> DetectSettings:
        """The part that the finder of faces understands."""
        return DetectSettings(**{name: getattr(self, name) for name in DetectSettings.model_fields})

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


class ReplaceSettings(Settings):
    """How pictures that come back are stored."""

    jpeg_quality: int = knob(100, "Quality of the new face files; 0 = lossless PNG", low=0, high=100)


class ReshapeSettings(ReplaceSettings):
    """Another size or face type for a set."""

    side: int = knob(
        512, "Side of the new pictures, 128 at least; 0 = each face at the size it has in its frame", low=0,
        high=MAX_SIDE_PX, step=16, unit="px",
    )
    face_type: Annotated[
        Literal["same", "half_face", "midfull_face", "full_face", "whole_face", "head"], BOTH_SPELLINGS
    ] = knob("same", "How much of the head the new pictures hold; h, mf, f and wf are understood as well")
    invent: bool = knob(
        False, "Where the frames are not at hand: enlarge, and leave black what the old pictures do not show"
    )

    @field_validator("side")
    @classmethod
    def _large_enough(cls, value: int) -> int:
        if 0 < value < MIN_SIDE_PX:
            raise ValueError(f"Faces are {MIN_SIDE_PX} px at least, or 0 for the size in their frames")
        return value


ENHANCERS = Registry("enhancers")
"""name -> `(image: (H, W, 3) float32 RGB 0..1, strength: float 0..1) -> the same shape and range`."""

ENHANCERS.add(Plug(
    "detail", "facewright.image.enhance:enhance_detail", "brings out the fine detail that is there; invents nothing"
))


class EnhanceSettings(ReplaceSettings):
    """How faces are enhanced."""

    strength: float = knob(0.5, "How much: 0 leaves the faces as they are", low=0.0, high=1.0, step=0.05)


class RestoreSettings(Settings):
    """How pictures that an editor had are known again."""

    known_by: Literal["both", "name", "content"] = knob(
        "both", "What tells which face a picture shows: its name and, where that fails, what is on it; or one of them"
    )


class CollageSettings(Settings):
    """How faces are laid out on pages."""

    tile: int = knob(256, "Side of a face on the page; larger ones are shrunk, none is enlarged", low=64, high=1024,
                     step=16, unit="px")
    columns: int = knob(8, "Faces in a row", low=1, high=32)
    rows: int = knob(8, "Rows on a page", low=1, high=32)
    gap: int = knob(
        16, "Room around each face, filled with its own edge, for tools that bleed over edges", low=0, high=64,
        unit="px",
    )
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
    keep: bool = knob(False, "Only add faces where none is: replace nothing")


class SortSettings(Settings):
    """How a faceset is put in order."""

    count: int = knob(2_000, "best, best-fast: keep about so many faces; the rest stands behind them", low=1,
                      high=1_000_000)
    quality: Literal["blur", "size", "quality"] = knob(
        "quality", "best: which of two faces alike in pose is kept: the sharper (the original's rule, which takes some "
        "large blurs for sharp), the larger in its frame, or the one with the better quality in all"
    )
    legacy: bool = knob(
        False, "best, best-fast: count as the original does, which keeps fewer faces than asked for, and none below 64"
    )


ORDERS = Registry("orders")
"""name -> `order(faceset) -> Sequence[face_id]`: every face once; built-in ones give an orders.Ranking, with scores.

An order that wants them takes the keywords `progress(done, total)`, `refused` (a dict that gets path -> why of files
that it could not read; their faces come last) and `settings` (SortSettings)."""

for _name, _help in (
    ("blur", "sharp first: CPBD of what the landmarks enclose"),
    ("sharpness", "sharp first: variance of the Laplacian of the face itself at 256 px, whatever its size in the file"),
    ("motion-blur", "sharp first: variance of the Laplacian; quicker than blur"),
    ("yaw", "by the turn to the side, from image left to image right"),
    ("pitch", "by the nod, from up to down"),
    ("size", "by the size of the face in its frame, the largest first"),
    ("hist", "by colours: each face is followed by the one most like it, strange ones end up last"),
    ("hist-dissim", "by brightness: those unlike all others first"),
    ("brightness", "bright first"),
    ("hue", "by mean hue, from violet to red"),
    ("black", "by the amount of pure black, the least first: faces at the frame's edge end up last"),
    ("origname", "as they stand in the films: file, frame, from left to right"),
    ("oneface", "faces that are alone in their frame first, then those of two in a frame, and so on"),
    ("absdiff", "pixel by pixel at 64 px: each face is followed by the one most like it"),
    ("absdiff-dissim", "the same, followed by the one least like it"),
    ("best", "the best --count faces over all poses, without doubles, from image left to right; then the rest"),
    ("best-fast", "the same, by size in the frame instead of sharpness"),
    ("identity", "by person: all faces of one behind each other, the most typical first"),
    ("landmarks", "by how sure the landmarks are, the doubtful ones last"),
    ("mouth", "by expression: from an open mouth to a closed one"),
    ("eyes", "by expression: from open eyes to closed ones"),
    ("light", "by the direction of the light, from image left to image right"),
    ("light-height", "by the height of the light, from above to below"),
    ("quality", "the best first: sharpness, size, exposure and landmarks in one score"),
):
    ORDERS.add(Plug(_name, f"facewright.faceset.orders:{_name.replace('-', '_')}", _help))


FAULTS = ("no_face", "other_person", "misaligned", "cut_off", "bad_exposure", "blurry", "small", "obstructed")
"""What `faces clean` looks for in single faces, the gravest first."""


class CleanSettings(Settings):
    """What is wrong with a face. Shares of a film's middle compare like with like: films differ in sharpness."""

    filters: str = knob(
        "all", f"What to look for, with commas between; words: {', '.join(FAULTS)}; all = these, none = no such fault"
    )
    blur: float = knob(
        0.4, "Blurry: sharpness inside (Laplacian at 256 px) below this share of its film's middle; 0 = off", low=0.0,
        high=1.0, step=0.05,
    )
    motion: float = knob(
        0.0, "Blurry: the original's measure of motion blur below this share of its film's middle; 0 = off", low=0.0,
        high=1.0, step=0.05,
    )
    cpbd: float = knob(
        0.0, "Blurry: CPBD sharpness below this, whatever the film; 0 = off (0.1 to 0.3 is usual)", low=0.0, high=1.0,
        step=0.01,
    )
    smallest: int = knob(
        0, "Small: the crop covers fewer pixels of its frame from side to side; 0 = off", low=0, high=2_048, unit="px"
    )
    dark: float = knob(
        0.3, "Bad exposure: more than this share of the face is black without drawing", low=0.0, high=1.0, step=0.05
    )
    bright: float = knob(
        0.2, "Bad exposure: more than this share of the face is burnt out", low=0.0, high=1.0, step=0.05
    )
    grey: float = knob(
        4.0, "Bad exposure: mean chroma (CIE Lab) below this is black and white; 0 = off", low=0.0, high=30.0
    )
    tint: float = knob(
        30.0, "Bad exposure: skin this far (a, b of CIE Lab) from the set's middle colour; 0 = off", low=0.0, high=128.0
    )
    cut: float = knob(
        0.03, "Cut off: points leave the frame by more than this share of the face, or more of it is quite black",
        low=0.0, high=1.0, step=0.01,
    )
    turned: float = knob(
        25.0, "Misaligned: turned this far from the faces around it in its track; 0 = off", low=0.0, high=180.0,
        unit="deg",
    )
    grown: float = knob(
        0.3, "Misaligned: larger or smaller than the faces around it in its track by this share; 0 = off", low=0.0,
        high=5.0, step=0.05,
    )
    misfit: float = knob(
        0.14, "Misaligned: points this far from where a head in that pose has them (sound: 0.02 to 0.1); 0 = off",
        low=0.0, high=1.0, step=0.01,
    )
    same: float = knob(
        0.4, "Other person: likeness to the set's main person below this cosine (0.5: the same, 0.4: ask); 0 = off",
        low=0.0, high=1.0, step=0.01,
    )
    presence: float = knob(
        0.5, "No face: the landmark net is less sure than this that there is one", low=0.0, high=1.0, step=0.05
    )
    covered: float = knob(
        0.12, "Obstructed: the stored mask (a net's, or drawn labels) leaves out more than this share of the face",
        low=0.0, high=1.0, step=0.01,
    )
    duplicates: int = knob(
        -1, "Near-duplicates up to this step: 0 the same picture, 1 only noise differs, 2 hardly moved, 3 much alike; "
        "-1 = off. Not for a film that gets the new face: there every frame counts", low=-1, high=3,
    )
    best: int = knob(
        0, "Of what stays keep so many, covering turn, nod, expression and light as evenly as they can; 0 = all", low=0,
        high=1_000_000,
    )
    rare: int = knob(
        10, "A pose (15 degrees wide) is never emptied below so many faces (one in a hundred in small sets) for blur, "
        "exposure, size or edges; 0 = no mercy", low=0, high=1_000,
    )

    @field_validator("filters")
    @classmethod
    def _known(cls, value: str) -> str:
        unknown = set(chosen_faults(value)) - set(FAULTS)
        if unknown:
            raise ValueError(f"There is no filter {min(unknown)!r}; known: {', '.join(FAULTS)}, all, none")
        return value

    @property
    def wanted(self) -> tuple[str, ...]:
        """The faults that are looked for."""
        return chosen_faults(self.filters)


def chosen_faults(text: str) -> tuple[str, ...]:
    """`blurry, cut-off` -> words; "all" and "none" likewise."""
    words = tuple(word.strip().replace("-", "_") for word in text.split(",") if word.strip())
    return FAULTS if "all" in words else tuple(word for word in words if word != "none")


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
    flag: str = knob("", "Only faces that carry this flag, such as `profile`")
    no_flag: str = knob("", "Only faces that do not carry this flag")
    where: str = knob("", "Only faces in these ranges: `yaw_deg=-30..30 sharpness=50.. shot=2`")
