from __future__ import annotations

from typing import Literal

import pytest

from facewright.core.errors import SettingRefused
from facewright.core.settings import Settings, check, knob, merge, options, parse, to_cli, to_form, to_markdown


class Kitchen(Settings):
    """A settings class with every kind of knob."""

    resolution: int = knob(128, "Side", low=64, high=640, step=16, unit="px", lock="after_start")
    power: float = knob(0.0, "Power", low=0, high=5, step=0.1)
    flip: bool = knob(True, "Flip")
    mode: Literal["none", "rct"] = knob("rct", "Colour")
    note: str = knob("", "Text")


def test_defaults_pass_their_own_check():
    assert check(Kitchen, {}) == Kitchen()


@pytest.mark.parametrize(
    ("values", "words"),
    [({"resolution": 65}, "64..640 step 16"), ({"resolution": 1000}, "64..640"), ({"power": -1}, "0..5"),
     ({"mode": "lct"}, "none | rct"), ({"powr": 1}, "--power")],
)
def test_refusals_name_the_range_or_the_likely_name(values, words):
    with pytest.raises(SettingRefused) as caught:
        check(Kitchen, values)
    assert words in caught.value.remedy


def test_a_locked_setting_cannot_change_but_a_live_one_can():
    started = Kitchen()
    assert check(Kitchen, {"power": 1.0}, started=started).power == 1.0
    with pytest.raises(SettingRefused, match="locked"):
        check(Kitchen, {"resolution": 256}, started=started)


def test_later_layers_win_and_none_means_not_given():
    assert merge(Kitchen, {"power": 1.0}, {"power": None, "flip": False}) == Kitchen(power=1.0, flip=False)


def test_every_door_shows_every_knob():
    names = [o.name for o in options(Kitchen)]
    assert [p.name for p in to_cli(Kitchen)] == names == [f["name"] for f in to_form(Kitchen)]
    assert all(f"--{n.replace('_', '-')}" in to_markdown(Kitchen) for n in names)


@pytest.mark.parametrize(("text", "value"), [("on", True), ("no", False)])
def test_text_becomes_a_flag(text, value):
    assert check(Kitchen, {"flip": parse(Kitchen, "flip", text)}).flip is value


def test_text_of_an_unknown_name_is_refused():
    with pytest.raises(SettingRefused):
        parse(Kitchen, "nothing", "1")


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="frozen"):
        Kitchen().power = 2
