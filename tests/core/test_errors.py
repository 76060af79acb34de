from __future__ import annotations

import pickle

import pytest

from facewright.core import errors


def kinds() -> list[type[errors.FacewrightError]]:
    return [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.FacewrightError)]


def test_a_remedy_is_owed():
    with pytest.raises(TypeError):
        errors.FileRefused("x")


def test_codes_are_unique():
    codes = [k.code for k in kinds()]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", kinds())
def test_errors_cross_a_process_border(kind):
    error = kind("what", why="why", remedy="do", where="here")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(again) is kind
    assert again.as_dict() == error.as_dict()
