from __future__ import annotations

from facewright import doctor


def test_every_finding_that_is_not_fine_has_a_remedy(tmp_path):
    report = doctor.examine(tmp_path)
    names = {f.name for f in report.findings}
    assert {"python", "packages", "processor", "memory", "encoders", "largest practical model"} <= names
    assert all(f.remedy for f in report.findings if f.state != "ok")
    assert report.as_dict()["state"] == report.state


def test_a_check_that_breaks_is_a_finding(tmp_path, monkeypatch):
    def broken(where):
        raise RuntimeError("no such thing")
        yield

    broken.__name__ = "_memory"
    monkeypatch.setattr(doctor, "_memory", broken)
    found = {f.name: f for f in doctor.examine(tmp_path).findings}
    assert found["memory"].state == "fail"
    assert "no such thing" in found["memory"].text


def test_memory_is_known_here():
    assert doctor.memory_bytes() > 1 << 30
