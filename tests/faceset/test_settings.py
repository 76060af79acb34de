from __future__ import annotations

import math
import subprocess
import sys

import pytest

from facewright.core.errors import SettingRefused
from facewright.core.settings import check, options
from facewright.faceset.settings import ExtractSettings
from facewright.media.settings import seconds


@pytest.mark.parametrize(("text", "value"), [
    ("", None), ("0", 0.0), ("62.5", 62.5), ("01:02.5", 62.5), ("00:01:02.5", 62.5), ("1:00:00", 3600.0),
    (" 3,25 ", 3.25),
])
def test_times(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["-1", "abc", "1:60", "00:61:00", "nan", "inf", "1:2:3:4", "1e9"])
def test_no_times(text):
    with pytest.raises(SettingRefused, match="--start"):
        check(ExtractSettings, {"start": text})


def test_an_end_before_the_start():
    with pytest.raises(SettingRefused, match="before"):
        check(ExtractSettings, {"start": "5", "end": "2"})


def test_defaults_and_ranges():
    settings = ExtractSettings()
    assert (settings.face_type, settings.resolution) == ("whole_face", 512)
    assert (settings.jpeg_quality, settings.max_faces) == (95, 0)
    assert settings.start_s == 0
    assert settings.end_s == math.inf
    assert check(ExtractSettings, {"resolution": 0}).resolution == 0
    assert check(ExtractSettings, {"resolution": "auto"}).native
    assert check(ExtractSettings, {"resolution": "estimate"}).resolution == 0
    assert check(ExtractSettings, {"resolution": "768"}).side_px == 768
    for wrong in ({"resolution": 112}, {"resolution": "large"}, {"resolution": True}, {"resolution": 512.5},
                  {"resolution": 130}, {"resolution": 4096}, {"jpeg_quality": 101},
                  {"face_type": "torso"}, {"fps": -1}, {"crop": "nearest"}):
        with pytest.raises(SettingRefused) as caught:
            check(ExtractSettings, wrong)
        assert caught.value.remedy
    assert settings.detection().detector == settings.detector
    assert all(option.help for option in options(ExtractSettings))
    assert "net_threads" not in settings.deciding()


def test_loads_nothing_heavy():
    heavy = "{'cv2', 'torch', 'av', 'onnxruntime'}"
    code = f"import sys, facewright.faceset.settings; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
