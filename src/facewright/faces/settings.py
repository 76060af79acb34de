"""Settings of detection, landmarks and tracking. Loads neither cv2 nor any net."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from facewright.core.registry import Plug, Registry
from facewright.core.settings import Settings, knob

FACE_TYPES = {"h": "half_face", "mf": "midfull_face", "f": "full_face", "wf": "whole_face", "head": "head"}
"""DeepFaceLab's word -> ours. Its users type theirs; every setting takes both and keeps ours."""


def _ours(word: Any) -> Any:
    return FACE_TYPES.get(word, word) if isinstance(word, str) else word


BOTH_SPELLINGS = BeforeValidator(_ours)
FaceTypeName = Annotated[Literal["half_face", "midfull_face", "full_face", "whole_face", "head"], BOTH_SPELLINGS]

DETECTORS = Registry("detectors")
"""name -> class `(weights: Path | None, *, threads: int)`; see detect.py for the contract."""

LANDMARKERS = Registry("landmarkers")
"""name -> class `(weights: Path | None, *, threads: int)`; see landmark.py for the contract."""

EMBEDDERS = Registry("embedders")
"""name -> class `(weights: Path | None, *, threads: int)`; see identity.py for the contract."""

DETECTORS.add(Plug("yunet", "facewright.faces.detect:YuNet", "finds faces from 10 px on", weights=("yunet_n",)))
DETECTORS.add(Plug("yunet_s", "facewright.faces.detect:YuNet", "YuNet's smaller net", weights=("yunet_s",)))
DETECTORS.add(Plug(
    "blazeface_full", "facewright.faces.blaze:BlazeFaceFull", "for faces from about 30 px on at 480p",
    weights=("blazeface_full",),
))
DETECTORS.add(Plug(
    "blazeface_short", "facewright.faces.blaze:BlazeFaceShort", "fast, only for faces close to the camera",
    weights=("blazeface_short",),
))
LANDMARKERS.add(Plug("face_mesh", "facewright.faces.landmark:FaceMesh", "468 points", weights=("face_mesh",)))
EMBEDDERS.add(Plug(
    "mobileface_v2", "facewright.faces.identity:MobileFace", "256 numbers per face", licence="MIT",
    weights=("mobileface_v2",),
))


class DetectSettings(Settings):
    """How faces are looked for."""

    detector: str = knob(
        "auto", "Detector: auto (yunet when its net is at hand, else blazeface_full), yunet, yunet_s, blazeface_full, "
        "blazeface_short, a plug-in's name, or several that look together: yunet+blazeface_full"
    )
    score: float = knob(
        0.0, "Lowest score of a face; 0 = the detector's own measured limit", low=0.0, high=1.0, step=0.01
    )
    detect_side: int = knob(
        640, "Long side that a frame is shrunk to before faces are looked for", low=160, high=2560, step=32, unit="px"
    )
    orientations: Literal["auto", "upright", "all"] = knob(
        "auto", "Look at the frame turned by 90, 180 and 270 degrees: when in doubt, never, or always"
    )
    second_look: bool = knob(
        True, "Look again, enlarged and with a lower limit, at frames in which no face was found"
    )
    second_detector: str = knob(
        "auto", "Detector that looks last at frames in which none was found even so: auto (another one that is at "
        "hand), none, or a name", shown_when="second_look"
    )
    net_threads: int = knob(
        1, "Threads of each net; one worker process per core is faster than threads", low=1, high=64
    )

    def detection(self) -> DetectSettings:
        """The part that the finder of faces understands, of settings that hold more."""
        return DetectSettings(**{name: getattr(self, name) for name in DetectSettings.model_fields})
