"""Vertex ranges (first, last) of the head model's parts, as published with the model."""

from __future__ import annotations

PARTS = {
    "face": (0, 9408),
    "neck": (9409, 11247),
    "mouth": (11248, 13293),
    "socket": (13294, 14061),
    "gums": (14062, 17038),
    "teeth": (17039, 21450),
    "eye_left": (21451, 22220),
    "eye_right": (23021, 23790),
    "lashes": (25351, 26718),
}
DRAWN = ("face", "neck", "mouth", "socket", "gums", "teeth", "eye_left", "eye_right")
