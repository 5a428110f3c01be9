"""Running a script as a person does, from any folder."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(script, folder, *options):
    """Run a file of `scripts`, warnings as errors, with `folder` as the working folder."""
    return subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "scripts" / script), *map(str, options)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=600,
    )
