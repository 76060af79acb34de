"""What cleaning looks for, and from which values on."""

from __future__ import annotations

from pydantic import field_validator

from facewright.core.settings import Settings, knob

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
