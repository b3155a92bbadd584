"""`expunge demo`: the whole story with the embedded model, as a newcomer runs it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.model
def test_the_demo_tells_its_story_and_checks_it() -> None:
    start = "from guardrail.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", start, "demo", "--once", "--port", "0", "--admin-port", "0"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not as promised" not in done.stdout
    assert "side by side" in done.stdout
    assert "revoked" in done.stdout
