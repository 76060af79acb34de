"""Quick96: the df-ud net of 96 px with nothing to choose. models-and-training.md section 5."""

from __future__ import annotations

from facewright.models.saehd import Saehd


class Quick96(Saehd):
    """A Saehd of the fixed shape Quick96Settings; it differs in loss, optimiser and sampling (room training)."""

    name = "quick96"
