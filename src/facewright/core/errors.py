"""The one error that a user is meant to see, and its children.

Everything else that escapes is a bug: exit status 70 and a crash report.
"""

from __future__ import annotations


class FacewrightError(Exception):
    """An expected failure: what happened, why, what to do now, where.

    `remedy` is a required keyword, so that forgetting it is a TypeError. The command line prints four
    lines, `--json` four keys, the studio a card.
    """

    code = "FW-000"
    exit_status = 2

    def __init__(self, what: str, *, why: str = "", remedy: str, where: object = None) -> None:
        super().__init__(what)
        self.what, self.why, self.remedy, self.where = what, why, remedy, where

    def as_dict(self) -> dict[str, str]:
        """The JSON form: code, what, why, remedy, where (all str)."""
        where = "" if self.where is None else str(self.where)
        return {"code": self.code, "what": self.what, "why": self.why, "remedy": self.remedy, "where": where}

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process border unharmed (worker processes send their errors to the parent)."""
        return (_rebuild, (type(self), self.what, self.why, self.remedy, str(self.where or "")))


def reason(error: Exception) -> str:
    """Why one of many things was left out, in a phrase: what an expected failure says, or the words of any other."""
    text = getattr(error, "why", "") or getattr(error, "what", "") or str(error)[:200] or type(error).__name__
    return text[:1].upper() + text[1:]


def _rebuild(kind: type[FacewrightError], what: str, why: str, remedy: str, where: str) -> FacewrightError:
    return kind(what, why=why, remedy=remedy, where=where)


class SettingRefused(FacewrightError):
    """A setting is unknown, out of range, of the wrong kind, or locked."""

    code = "FW-101"


class FileRefused(FacewrightError):
    """A file is missing, unreadable, damaged, hostile or of the wrong kind."""

    code = "FW-102"


class DiskRefused(FacewrightError):
    """A disk is full, a folder cannot be written, or another process holds it."""

    code = "FW-103"


class NothingFound(FacewrightError):
    """The input holds nothing to work on: no frame, no face, an empty faceset."""

    code = "FW-104"


class Mismatch(FacewrightError):
    """Two inputs do not belong together: face types, models, persons."""

    code = "FW-105"


class WeightsMissing(FacewrightError):
    """A pretrained net is needed and not to be had here."""

    code = "FW-106"


class TrainingRefused(FacewrightError):
    """Training cannot go on without doing harm (non-finite loss, too few faces)."""

    code = "FW-107"


class ConsentRefused(FacewrightError):
    """No valid record of consent covers this use of this face."""

    code = "FW-201"


class ContentRefused(FacewrightError):
    """The content gate refused the film, or could not look at it."""

    code = "FW-202"


class TraceBroken(FacewrightError):
    """A ledger, signature or manifest does not verify."""

    code = "FW-203"
