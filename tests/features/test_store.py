"""The cache folder, checksums, and what is said of a network that refuses or is not there."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

import pytest

from softseg.errors import ModelError
from softseg.features.store import home, offline, refusal, sha256_of, unreachable


def test_home_is_chosen_or_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOFTSEG_HOME", str(tmp_path / "here"))
    assert home() == tmp_path / "here"
    monkeypatch.delenv("SOFTSEG_HOME")
    for platform, variable in (("linux", "XDG_CACHE_HOME"), ("win32", "LOCALAPPDATA")):
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setenv(variable, str(tmp_path / platform))
        assert home() == tmp_path / platform / "softseg"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert home() == Path.home() / "Library" / "Caches" / "softseg"


@pytest.mark.parametrize(("value", "forbids"), [("1", True), ("true", True), ("0", False), ("", False), ("NO", False)])
@pytest.mark.parametrize("name", ["SOFTSEG_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline(name: str, value: str, forbids: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in ("SOFTSEG_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    assert offline() == (name if forbids else None)


def test_sha256_follows_the_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"one")
    assert sha256_of(file) == hashlib.sha256(b"one").hexdigest()
    file.write_bytes(b"other")
    assert sha256_of(file) == hashlib.sha256(b"other").hexdigest()
    with pytest.raises(ModelError, match="cannot be read"):
        sha256_of(tmp_path / "missing")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, r"gated or private\. Accept its terms on its page .* set HF_TOKEN"),
        (403, r"HTTP 403.* set HF_TOKEN"),
        (404, r"does not exist \(HTTP 404\); check the name"),
        (503, r"HTTP 503; try again later, or copy it by hand"),
    ],
)
def test_refusals_say_what_to_do(status: int, words: str) -> None:
    assert re.search(
        f"^https://example.org/page .*{words}", refusal(status, "https://example.org/page", "copy it by hand")
    )


@pytest.mark.parametrize(("error", "reason"), [(OSError("no\nroute"), "no route"), (TimeoutError(), "TimeoutError")])
def test_without_a_network(error: Exception, reason: str) -> None:
    said = unreachable("https://example.org/page", error, "copy it by hand")
    assert said == f"https://example.org/page cannot be reached ({reason}); copy it by hand"
