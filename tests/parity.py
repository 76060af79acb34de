"""Comparisons with the original's numbers that remember what they measured.

Tests compare through `Parity`, so `tools/parity_table.py` needs no code of its own: it runs those tests and prints what
they measured. A place is "FILE/ENTRY" within tests/golden/models, for example "ops.npz/gblur_r2.0".
"""

from __future__ import annotations

from typing import Any

import numpy as np

NOTE = "parity"
"""Name of the property that a test report carries for every comparison."""


class Parity:
    """What one test compares; `noted` (the test's report) gets a line for each comparison, failed ones included."""

    def __init__(self, noted: list[tuple[str, Any]]) -> None:
        self._noted = noted

    def near(self, place: str, have: Any, wanted: Any, what: str, *, atol: float = 0.0, rtol: float = 0.0) -> None:
        """|have - wanted| <= atol + rtol |wanted| everywhere. what: words for the table."""
        have, wanted = (np.asarray(_array(v), np.float64) for v in (have, wanted))
        assert have.shape == wanted.shape, f"{place}: {have.shape} instead of {wanted.shape}"
        size = np.abs(wanted)
        difference = np.abs(have - wanted)
        if atol:
            difference = np.maximum(difference - rtol * size, 0)  # what goes beyond the rounding that rtol allows
        else:
            difference = difference / np.maximum(size, np.finfo(np.float64).tiny)
        self.note(place, what, float(difference.max(initial=0)), atol or rtol, relative=not atol)
        np.testing.assert_allclose(have, wanted, atol=atol, rtol=rtol, err_msg=place)

    def same(self, place: str, have: Any, wanted: Any, what: str) -> None:
        """have equals wanted, to the bit; anything that == compares, arrays by type, shape and bytes."""
        if isinstance(wanted, np.ndarray):
            equal = (have.dtype, have.shape, have.tobytes()) == (wanted.dtype, wanted.shape, wanted.tobytes())
        else:
            equal = have == wanted
        self.note(place, what, 0.0 if equal else float("inf"), 0.0)
        assert equal, f"{place}: {have} instead of {wanted}"

    def note(self, place: str, what: str, difference: float, limit: float, *, relative: bool = False) -> None:
        """A difference that a test measures and judges by itself."""
        file, _, entry = place.partition("/")
        known = difference if difference == difference else float("inf")
        line = {"file": file, "entry": entry, "what": what, "difference": known, "limit": limit, "relative": relative}
        self._noted.append((NOTE, line))


def _array(value: Any) -> Any:
    return value.detach().numpy() if hasattr(value, "detach") else value  # a tensor; torch need not be loaded
