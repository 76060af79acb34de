from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewright.core.errors import FacewrightError
from facewright.core.journal import Journal, scan


def test_records_come_back(tmp_path):
    with_some = Journal(tmp_path / "j")
    for i in range(5):
        with_some.add({"item": i, "name": "ü"}, sync=i == 4)
    with_some.close()
    assert [r["item"] for r in Journal(tmp_path / "j").records] == list(range(5))


@given(cut=st.integers(1, 400), junk=st.binary(max_size=20))
def test_a_torn_tail_is_cut_and_the_right_prefix_stays(tmp_path_factory, cut, junk):
    path = tmp_path_factory.mktemp("torn") / "j"
    journal = Journal(path)
    for i in range(10):
        journal.add({"i": i})
    journal.close()
    data = path.read_bytes()
    kept = data[: max(0, len(data) - cut)]
    path.write_bytes(kept + junk)
    again = Journal(path)
    whole = kept.count(b"\n")
    assert [r["i"] for r in again.records[:whole]] == list(range(whole))
    again.add({"i": "new"})
    again.close()
    assert scan(path)[0][-1] == {"i": "new"}


@pytest.mark.parametrize("bit", range(0, 300, 7))
def test_a_flipped_bit_ends_the_trusted_part(tmp_path, bit):
    journal = Journal(tmp_path / "j")
    for i in range(10):
        journal.add({"i": i})
    journal.close()
    data = bytearray((tmp_path / "j").read_bytes())
    position = bit % (len(data) * 8)
    data[position // 8] ^= 1 << (position % 8)
    (tmp_path / "j").write_bytes(bytes(data))
    records, _ = scan(tmp_path / "j")
    assert records == [{"i": i} for i in range(len(records))]
    assert len(records) < 10


def test_reading_goes_on_from_an_offset(tmp_path):
    journal = Journal(tmp_path / "j")
    journal.add({"i": 0})
    _, offset = scan(tmp_path / "j")
    journal.add({"i": 1})
    assert scan(tmp_path / "j", offset)[0] == [{"i": 1}]


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(FacewrightError):
        Journal(tmp_path / "missing" / "j")
