"""Settings of masks, and the registry of what makes them. Loads neither cv2 nor any net."""

from __future__ import annotations

from facewright.core.registry import Plug, Registry
from facewright.core.settings import Settings, knob
from facewright.faceset.settings import CLUSTER

MASKERS = Registry("maskers")
"""name -> `open(run: Path | None, settings: MaskSettings) -> Masker`; see maskers.py for the contract."""

MASKERS.add(Plug("hull", "facewright.masks.maskers:open_hull", "the outline of 68 landmarks, jaw to brows, with lips"))
MASKERS.add(Plug("mesh", "facewright.masks.maskers:open_mesh", "the oval of the 468-point mesh: chin to forehead"))
MASKERS.add(Plug(
    "generic", "facewright.masks.by_net:open_generic",
    "the net that comes along: any face, without what lies before it; learned from drawn heads alone",
    needs=("torch",),
))
MASKERS.add(Plug(
    "xseg", "facewright.masks.by_net:open_xseg",
    "a trained XSeg RUN, or its export FILE.onnx (name it in place of this word)",
    needs=("torch",),
))


class MaskSettings(Settings):
    """How masks are made and stored."""

    side: int = knob(256, "Side of the stored masks", low=64, high=1024, step=16, unit="px")
    hard: bool = knob(
        False, "Store 0 or 1 only, cut at a half, as DeepFaceLab does; else soft edges stay and tell how sure a net was"
    )
    only_new: bool = knob(False, "Leave faces that have a mask already as they are")
    drawn: bool = knob(False, "Faces with drawn labels get those as their mask instead")
    device: str = knob("auto", "Where a net runs: auto (the first GPU, else the CPU), cpu, cuda, cuda:1 ...")
    cluster: str = knob("", CLUSTER)


class TraceSettings(Settings):
    """How masks become polygons."""

    node: int = knob(10, "About one node every so many pixels of the face picture", low=2, high=100, unit="px")
    smallest: float = knob(
        0.05, "Leave out pieces and holes smaller than this share of the picture's area", low=0.0, high=10.0, step=0.01,
        unit="%",
    )


class SuggestSettings(Settings):
    """Which faces are looked at when the next ones to label are chosen."""

    number: int = knob(50, "How many faces to name", low=1, high=2_000)
    candidates: int = knob(
        4_000, "Look at so many faces at most, spread evenly over the set", low=10, high=100_000
    )


class ExportSettings(Settings):
    """How masks leave as pictures."""

    side: int = knob(0, "Side of the pictures; 0 = that of each face picture", low=0, high=4_096, unit="px")
    hard: bool = knob(False, "Only black and white, cut at a half")


class CheckSettings(Settings):
    """What a doubtful mask is."""

    holes: float = knob(0.5, "Holes of more than this share of the mask", low=0.0, high=100.0, step=0.1, unit="%")
    pieces: float = knob(1.0, "Loose pieces of more than this share of it", low=0.0, high=100.0, step=0.1, unit="%")
    blur: float = knob(6.0, "An edge softer than this, at 256 px", low=0.5, high=100.0, step=0.5, unit="px")
    small: float = knob(60.0, "An area below this share of the landmarks' outline", low=0.0, high=100.0, unit="%")
    large: float = knob(95.0, "An area above this share of the picture", low=1.0, high=100.0, unit="%")
    jump: float = knob(
        5.0, "A mask that differs from both neighbours of its track by this much more than they do from each other",
        low=0.5, high=100.0, step=0.5, unit="%",
    )

