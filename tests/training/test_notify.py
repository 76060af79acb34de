from __future__ import annotations

import json
import sys
from io import BytesIO
from urllib.error import HTTPError, URLError

import pytest

from facewright.training import notify
from facewright.training.notify import COMMAND, WEBHOOK, Messenger, Notice, post, run_command

NOTICE = Notice("plateau", "anna-to-bea", 12_345, 0.25, None, "warp")


@pytest.fixture
def program(tmp_path):
    """A program that writes down what it was told; and its answers."""
    out = tmp_path / "told.jsonl"
    script = tmp_path / "it s.py"
    script.write_text("import json, os, sys\n"
                      f"facts = {{k: v for k, v in os.environ.items() if k.startswith('FACEWRIGHT_')}}\n"
                      f"open({str(out)!r}, 'a').write(json.dumps([facts, sys.argv[1:]]) + '\\n')\n")
    return f"{sys.executable} '{script}' 'a b' $HOME;true", out


def test_a_command_gets_the_facts_without_a_shell(program):
    command, out = program
    run_command(command, NOTICE)
    facts, words = json.loads(out.read_text())
    assert {k: facts[k] for k in ("FACEWRIGHT_EVENT", "FACEWRIGHT_RUN", "FACEWRIGHT_ITERATION", "FACEWRIGHT_STAGE",
                                  "FACEWRIGHT_LOSS_SRC", "FACEWRIGHT_LOSS_DST")} == {
        "FACEWRIGHT_EVENT": "plateau", "FACEWRIGHT_RUN": "anna-to-bea", "FACEWRIGHT_ITERATION": "12345",
        "FACEWRIGHT_STAGE": "warp", "FACEWRIGHT_LOSS_SRC": "0.25", "FACEWRIGHT_LOSS_DST": ""}
    assert words == ["a b", "$HOME;true"]


class Answer(BytesIO):
    pass


def test_an_address_gets_run_iteration_and_losses_and_nothing_else(monkeypatch):
    sent = []
    monkeypatch.setattr(notify, "_open", lambda request: sent.append(request) or Answer(b"ok"))
    monkeypatch.delenv("FACEWRIGHT_OFFLINE", raising=False)
    post("https://hooks.example/secret", NOTICE)
    assert (sent[0].method, sent[0].full_url) == ("POST", "https://hooks.example/secret")
    assert json.loads(sent[0].data) == {"event": "plateau", "run": "anna-to-bea", "iteration": 12345, "loss_src": 0.25,
                                        "loss_dst": None, "stage": "warp"}


def test_a_redirect_is_not_followed():
    assert notify._NoRedirect().redirect_request(None, None, 302, "", {}, "https://elsewhere.example") is None


@pytest.mark.parametrize(("error", "words"), [
    (HTTPError("https://hooks.example/secret", 404, "no", {}, None), "the server answered 404"),
    (URLError(OSError(111, "Connection refused")), "Connection refused"), (TimeoutError("timed out"), "TimeoutError"),
    (URLError("https://hooks.example/secret is odd"), "URLError"),
])
def test_a_failure_is_told_without_the_address_and_stops_nothing(monkeypatch, error, words):
    def fail(request):
        raise error

    monkeypatch.setattr(notify, "_open", fail)
    monkeypatch.delenv("FACEWRIGHT_OFFLINE", raising=False)
    messenger = Messenger({WEBHOOK: "https://hooks.example/secret"})
    messenger.send(NOTICE)
    messenger.close()
    (text,) = messenger.failures()
    assert words in text
    assert "secret" not in text
    assert messenger.failures() == []


@pytest.mark.parametrize(("environment", "words"), [
    ({WEBHOOK: "http://hooks.example/x"}, "no https address"), ({WEBHOOK: "file:///etc/passwd"}, "no https address"),
    ({COMMAND: "there-is-no-such-program"}, "no such program"), ({COMMAND: "'unbalanced"}, "No closing quotation"),
    ({COMMAND: f"{sys.executable} -c 'raise SystemExit(3)'"}, "status 3"), ({COMMAND: " "}, "it is empty"),
])
def test_what_cannot_be_told_is_said(environment, words, monkeypatch):
    monkeypatch.delenv("FACEWRIGHT_OFFLINE", raising=False)
    messenger = Messenger(environment)
    messenger.send(NOTICE)
    messenger.close()
    assert words in " ".join(messenger.failures())


def test_a_command_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(notify, "COMMAND_S", 0.2)
    messenger = Messenger({COMMAND: f"{sys.executable} -c 'import time; time.sleep(30)'"})
    messenger.send(NOTICE)
    messenger.close()
    assert "took longer than 0.2 s" in messenger.failures()[0]


def test_offline_keeps_the_address_quiet(monkeypatch):
    monkeypatch.setenv("FACEWRIGHT_OFFLINE", "1")
    monkeypatch.setattr(notify, "_open", lambda request: pytest.fail("the network was used"))
    messenger = Messenger({WEBHOOK: "https://hooks.example/x"})
    messenger.send(NOTICE)
    messenger.close()
    assert "FACEWRIGHT_OFFLINE" in messenger.failures()[0]


def test_nothing_asked_nothing_started():
    messenger = Messenger({})
    messenger.send(NOTICE)
    assert messenger._thread is None
    messenger.close()


def test_both_are_told_in_order(program, monkeypatch):
    command, out = program
    sent = []
    monkeypatch.delenv("FACEWRIGHT_OFFLINE", raising=False)
    monkeypatch.setattr(notify, "_open", lambda request: sent.append(json.loads(request.data)["event"]) or Answer())
    messenger = Messenger({COMMAND: command, WEBHOOK: "https://hooks.example/x"})
    for event in ("stage", "end"):
        messenger.send(Notice(event, "r", 1, None, None))
    messenger.close()
    assert sent == ["stage", "end"]
    assert [json.loads(line)[0]["FACEWRIGHT_EVENT"] for line in out.read_text().splitlines()] == ["stage", "end"]
    assert messenger.failures() == []
