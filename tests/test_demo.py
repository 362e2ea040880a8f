"""`pints demo` as a newcomer runs it: it tells the whole story, quickly, and leaves nothing."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path


def test_the_whole_story(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    began = time.monotonic()
    told = subprocess.run(
        [sys.executable, "-m", "pints", "demo"],
        capture_output=True, text=True, timeout=60, env=environment, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert time.monotonic() - began < 20
    story = told.stdout
    chapters = [
        r"power on; the clock says 1970-01-01T00:00:00Z",
        r"restored \d{4}-.*\(saved time\)",
        r"certificate good .*: judged again when the time is known",
        r"R6: judged again at .* and good",
        r"verified \(windows\): .* of 3 witnesses agree",
        r"An hour later",
        r"verified \(anchored\)",
        r"Power cut",
        r"power on; the clock says 1970-01-01T00:00:00Z",
        r"verified \(anchored\)",
        r"Warm: .* by 0 key exchanges and one round trip",
    ]
    position = 0
    for chapter in chapters:
        found = re.search(chapter, story[position:])
        assert found, f"{chapter!r} is missing after:\n{story[:position]}"
        position += found.end()
    assert not list(tmp_path.iterdir())
