"""The example scripts run from anywhere, and say what they should."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(script, folder):
    return subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "scripts" / script)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_example_rule(tmp_path):
    done = run("example_rule.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Enzyme has no derivative for `clib_j0`, called from `loss`" in done.stdout
    assert "it passes test_rule" in done.stdout
    assert "A factor 2 is missing at 24 of 24 elements" in done.stdout
    assert "differs from the exact one by" in done.stdout
    assert "roughness through memmove differs by" in done.stdout
    assert list(tmp_path.iterdir()) == []
