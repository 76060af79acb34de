"""The table of what equals the original: complete, and made of what the tests measure."""

from __future__ import annotations

import numpy as np
import pytest
from tests.parity import NOTE, Parity

from tools import parity_table as table


def test_the_page_lists_every_golden_file_and_nothing_missed():
    page = table.PAGE.read_text(encoding="utf-8")
    shown = page.split(table.BEGIN)[1].split(table.END)[0]
    for file in table.golden_files():
        assert f"| `{file.name}`:" in shown, f"{file.name} is missing: python -m tools.parity_table --write"
    assert "MISSED" not in shown


def test_every_golden_file_is_named_by_a_test_that_compares():
    assert {f.name for f in table.comparing_files()} >= {
        "test_parity.py", "test_train_steps.py", "test_losses.py", "test_optim.py", "test_random_warp.py",
        "test_discriminators.py", "test_xseg.py", "test_exchange.py",
    }


def line(file="ops.npz", difference=1e-7, limit=1e-6, entry="a", what="layers"):
    return {"file": file, "entry": entry, "what": what, "difference": difference, "limit": limit, "relative": False}


def test_one_row_for_each_kind_and_limit():
    made = table.rows([line(), line(entry="b", difference=3e-7), line(limit=0.0, difference=0.0, what="order")])
    assert [(r.what, r.difference, r.count, len(r.entries), r.verdict) for r in made] == [
        ("layers", 3e-7, 2, 2, "within"), ("order", 0.0, 1, 1, "equal"),
    ]
    text = table.markdown(made)
    assert "| `ops.npz`: 0 of 76 | layers | 2 | 3e-7 | 1e-6 | within |" in text
    assert "|  | order | 1 | 0 | exact | equal |" in text
    assert "| `warp.npz`: 0 of 105 | nothing | 0 | | | MISSED |" in text
    assert len(table.unread(made)["ops.npz"]) == 76


@pytest.mark.parametrize("difference", [2e-6, float("inf")])
def test_a_difference_beyond_its_limit_is_said(difference):
    (row,) = table.rows([line(difference=difference)])
    assert row.verdict == "MISSED"


def test_comparisons_are_noted_before_they_fail():
    noted = []
    parity = Parity(noted)
    parity.near("f.npz/a", [1.0, 2.0], [1.0, 2.5], "x", atol=1.0)
    parity.near("f.npz/a", [2.0], [4.0], "x", rtol=0.6)
    for bad in ([1.2], [np.nan]):
        with pytest.raises(AssertionError):
            parity.near("f.npz/b", bad, [1.0], "x", atol=0.1)
    with pytest.raises(AssertionError):
        parity.near("f.npz/b", [1.0], [1.0, 1.0], "x", atol=0.1)
    with pytest.raises(AssertionError):
        parity.same("f.npz/c", np.float32([1]), np.float64([1]), "x")
    lines = [value for name, value in noted if name == NOTE]
    assert [(v["file"], v["entry"], v["relative"]) for v in lines[:2]] == [("f.npz", "a", False), ("f.npz", "a", True)]
    assert [v["difference"] for v in lines] == [0.5, 0.5, pytest.approx(0.2), float("inf"), float("inf")]
