"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from tests.parity import Parity

hypothesis_settings.register_profile(
    "house", max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("house")

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("FACEWRIGHT_SHARED", REPOSITORY.parent / "shared"))


@pytest.fixture(scope="session")
def golden() -> Path:
    """Numbers and drawings of the original, part of the repository."""
    return REPOSITORY / "tests" / "golden"


@pytest.fixture
def parity(request: pytest.FixtureRequest) -> Parity:
    """Compares with the original's numbers, and remembers by how much they differ."""
    return Parity(request.node.user_properties)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of licensed footage and weights beside a developer's checkout."""
    if not (SHARED / "footage").is_dir():
        pytest.skip("needs the shared footage and weights folder beside the checkout, which is absent here")
    return SHARED


@pytest.fixture
def weights(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretrained nets at hand, without network."""
    monkeypatch.setenv("FACEWRIGHT_WEIGHTS", str(shared / "weights"))
    return shared / "weights"


@pytest.fixture(autouse=True)
def _private_user_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own keys, records, cache or settings."""
    monkeypatch.setenv("FACEWRIGHT_HOME", str(tmp_path_factory.mktemp("home")))


def pytest_sessionstart(session: pytest.Session) -> None:
    """One compute thread: two threads on a busy two-core machine lose to one.

    And signals as in a terminal: a gate started in the background inherits ignored ones and would hand them on to
    the processes that tests stop by them.
    """
    import signal
    import sys

    for name, usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, usual)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """What needs the shared folder may skip only where it is absent: a skip beside it is a hole in the gate."""
    report = yield
    needs = item.get_closest_marker("shared") or {"shared", "weights"} & set(getattr(item, "fixturenames", ()))
    if report.skipped and needs and (SHARED / "footage").is_dir() and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although {SHARED} is there: {report.longrepr}"
    return report
