"""The mesh's constant shape bias against 68 iBUG points, fixed to the head; made by tools/landmark_correction.py."""

from __future__ import annotations

import numpy as np

CORRECTION_NAME = "corr0"
CORRECTION_CM = np.zeros((68, 3))
"""(68, 3) added to the mesh's own points, in the canonical head's centimetres (x right, y up, z to the viewer)."""
