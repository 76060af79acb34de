from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.core.errors import TraceBroken
from facewright.provenance.canonical import decode, encode, from_b64url, to_b64url

texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
keys = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12,
)


@given(values)
def test_round_trip_and_one_spelling(value):
    data = encode(value)
    assert decode(data) == value
    assert encode(decode(data)) == data


def test_sorted_compact_utf8():
    assert encode({"b": [1, True, None], "a": "Zoë\n\u2028"}) == '{"a":"Zoë\\n\u2028","b":[1,true,null]}'.encode()
    assert encode("\x07\"\\") == b'"\\u0007\\"\\\\"'


@pytest.mark.parametrize("value", [
    1.0, {"a": 2.5}, 2**53, -(2**53), {"ä": 1}, {1: 2}, "\ud800", b"x", {"a": {1, 2}},
    [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]],
], ids=str)
def test_what_has_no_canonical_form(value):
    with pytest.raises(TraceBroken):
        encode(value)


@pytest.mark.parametrize("text", [
    '{"a":1,"a":2}', "1.5", "1e3", "NaN", "Infinity", "{", "", '"\\ud800"', "9" * 5000, '{"\\u00e4":1}', "[" * 5000,
], ids=lambda t: t[:12])
def test_what_is_not_read(text):
    with pytest.raises(TraceBroken):
        decode(text.encode())


def test_bytes_that_are_not_utf8():
    with pytest.raises(TraceBroken):
        decode(b'"\xff"')


@given(st.binary(max_size=40))
def test_base64url_has_one_spelling(data):
    text = to_b64url(data)
    assert from_b64url(text) == data
    assert "=" not in text
    json.dumps(text)


@pytest.mark.parametrize("text", ["AA==", "AB", "A", "A+", "A/", "ä", "AA\n", "A A"])
def test_base64url_strays(text):
    with pytest.raises(TraceBroken):
        from_b64url(text)
