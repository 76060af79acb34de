from __future__ import annotations

import json

import numpy as np
import pytest

from facewright.core.errors import ConsentRefused, NothingFound
from facewright.provenance.binding import TAU, bind, check_binding, set_aside
from facewright.provenance.consent import sign

NET = "b0" * 32


def person(seed: int, count: int, spread: float = 0.5, size: int = 256) -> np.ndarray:
    """(count, size) unit vectors around one random direction; cosine to it about 1 / sqrt(1 + spread^2)."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(size=size)
    mean /= np.linalg.norm(mean)
    vectors = mean + spread * rng.normal(size=(count, size)) / np.sqrt(size)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def bound(store, record_data, own_key):
    record_data["binding"] = bind(person(1, 40), "mobileface_v2", NET, store.bindings)
    return store.add(sign(record_data, own_key))


def test_the_same_person_is_verified(store, bound):
    assert bound.binding is not None
    assert bound.binding["n"] == 40
    assert check_binding(bound, (person(1, 300, 0.6), NET), store.bindings) == "verified"


def test_five_in_a_hundred_may_be_far_and_no_more(store, bound):
    own, others = person(1, 95), person(2, 5)
    assert check_binding(bound, (np.concatenate([own, others]), NET), store.bindings) == "verified"
    with pytest.raises(ConsentRefused) as caught:
        check_binding(bound, (np.concatenate([own[1:], others, others[:1]]), NET), store.bindings)
    assert caught.value.what.startswith("6 of 100 faces")


def test_strangers_are_counted(store, bound):
    with pytest.raises(ConsentRefused, match="30 of 30 faces are not of the person"):
        check_binding(bound, (person(2, 30), NET), store.bindings)
    broken = person(1, 30)
    broken[3] = np.nan
    with pytest.raises(ConsentRefused):
        check_binding(bound, (broken, NET), store.bindings)


def test_the_threshold(store, bound):
    """Exactly at tau passes, just under does not: 0.55 of a unit direction, the rest orthogonal."""
    mean = person(1, 40).astype(np.float64).mean(axis=0)
    mean = np.rint(127 * mean / np.linalg.norm(mean))
    mean /= np.linalg.norm(mean)
    side = np.random.default_rng(5).normal(size=256)
    side -= (side @ mean) * mean
    side /= np.linalg.norm(side)
    for cosine, good in ((TAU + 0.002, True), (TAU - 0.002, False)):
        vectors = np.repeat((cosine * mean + np.sqrt(1 - cosine**2) * side)[None], 20, axis=0).astype(np.float32)
        if good:
            assert check_binding(bound, (vectors, NET), store.bindings) == "verified"
        else:
            with pytest.raises(ConsentRefused):
                check_binding(bound, (vectors, NET), store.bindings)


def test_unverified_where_nothing_can_be_compared(store, bound, record_data, own_key):
    assert check_binding(bound, None, store.bindings) == "unverified"
    assert check_binding(bound, (person(1, 30), "c1" * 32), store.bindings) == "unverified"
    del record_data["binding"]
    record_data["id"] = "01J9Z3K4QW8VX2N6T5R7M0ABCE"
    free = store.add(sign(record_data, own_key))
    assert check_binding(free, (person(2, 30), NET), store.bindings) == "unverified"


def test_too_few_faces_or_two_people_cannot_be_bound(tmp_path):
    with pytest.raises(NothingFound):
        bind(person(1, 19), "m", NET, tmp_path)
    with pytest.raises(ConsentRefused, match="not of one person"):
        bind(np.concatenate([person(1, 20), person(2, 20)]), "m", NET, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_record_does_not_hold_the_face(store, bound):
    text = (store.folder / f"{bound.id}.consent.json").read_text()
    secret = json.loads(next(store.bindings.iterdir()).read_text())
    assert secret["q"] not in text
    assert secret["salt"] not in text


def test_a_missing_or_changed_private_half_refuses(store, bound):
    path = next(store.bindings.iterdir())
    body = json.loads(path.read_text())
    path.write_text(json.dumps(body | {"q": body["q"][:-4] + "AAAA"}))
    with pytest.raises(ConsentRefused, match="cannot be checked"):
        check_binding(bound, (person(1, 30), NET), store.bindings)
    assert set_aside(bound.binding, store.bindings)
    assert not set_aside(bound.binding, store.bindings)
    assert [file.name for file in (store.bindings / "revoked").iterdir()] == [path.name]
    with pytest.raises(ConsentRefused, match="cannot be checked"):
        check_binding(bound, (person(1, 30), NET), store.bindings)
