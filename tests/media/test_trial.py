from __future__ import annotations

from facewright.media.encoders import ENCODERS
from facewright.media.trial import probe_encoders


def test_every_preset_is_tried_and_the_common_ones_work():
    found = probe_encoders()
    assert list(found) == ENCODERS.names()
    assert {"h264", "ffv1", "png"} <= {name for name, works in found.items() if works}
