"""Which faces of a set are meant, as a user says it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from facewright.core.errors import SettingRefused
from facewright.faceset.faceset import Faceset
from facewright.faceset.index import EQUALS, RANGES, Row
from facewright.faceset.settings import ChoiceSettings


def rows_of(faceset: Faceset, choice: ChoiceSettings) -> Iterator[Row]:
    """The rows that fit all that is said, streamed. Raises SettingRefused."""
    for row in faceset.rows_of(choice.person, **ranges(choice.where)):
        if choice.film and not is_film(choice.film, row.source_file, row.source_sha256):
            continue
        flags = row.flags.split()
        if (not choice.flag or choice.flag in flags) and choice.no_flag not in flags:
            yield row


def is_film(word: str, file: str, sha256: str) -> bool:
    """Whether a user's word means this film: its name, with or without suffix, or six letters of its digest or more."""
    return word in (file, file.rpartition(".")[0]) or (len(word) >= 6 and sha256.startswith(word.lower()))


def ranges(text: str) -> dict[str, Any]:
    """`yaw_deg=-30..30 sharpness=50.. track=x` -> what `Faceset.rows` takes. Raises SettingRefused."""
    return dict(condition(word) for word in text.replace(",", " ").split())


def condition(word: str) -> tuple[str, Any]:
    """One of them; `-30:30` says the same as `-30..30`. Raises SettingRefused."""
    name, _, value = word.partition("=")
    name = name.strip().replace("-", "_")
    if name in RANGES:
        low, between, high = value.partition(".." if ".." in value else ":")
        try:
            return name, (float(low or "-inf"), float(high or "inf")) if between else (float(value), float(value))
        except ValueError:
            raise _refused(word) from None
    if name in EQUALS and value and (name != "shot" or value.isdecimal()):
        return name, value
    raise _refused(word)


def _refused(word: str) -> SettingRefused:
    return SettingRefused(
        f"{word!r} does not say which faces.",
        remedy=f"Say NAME=LOW..HIGH ({', '.join(RANGES)}) or NAME=VALUE ({', '.join(EQUALS)}).", where=word)
