"""facewright replaces a face in film with another, with consent and provenance built in.

What `__all__` names is the stable Python API, described in docs/how-to/python.md. Importing the package loads none of
it: each name is fetched when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facewright.api.learning import TrainEvent, train
    from facewright.api.nets import MaskNet, Swapper, load_model
    from facewright.api.notebook import Faceset
    from facewright.core.errors import ConsentRefused, FacewrightError
    from facewright.faces.face import Face
    from facewright.merge.predict import Prediction

__version__ = "0.1.0"
__all__ = [
    "ConsentRefused", "Face", "Faceset", "FacewrightError", "MaskNet", "Prediction", "Swapper", "TrainEvent",
    "load_model", "train",
]

_HOMES = {
    "ConsentRefused": "facewright.core.errors", "Face": "facewright.faces.face",
    "Faceset": "facewright.api.notebook", "FacewrightError": "facewright.core.errors",
    "MaskNet": "facewright.api.nets", "Prediction": "facewright.merge.predict", "Swapper": "facewright.api.nets",
    "TrainEvent": "facewright.api.learning", "load_model": "facewright.api.nets", "train": "facewright.api.learning",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
