"""Virtual environments of the peers, each with the versions that its script names."""

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path


def interpreter(place: Path, packages: Sequence[str]) -> Path:
    """Return the interpreter of an environment; made, or made again, where versions differ."""
    done, wanted = place / "installed.txt", "\n".join(packages)
    if not done.is_file() or done.read_text() != wanted:
        print(f"installing {list(packages)} into {place}", file=sys.stderr)
        venv.create(place, with_pip=True, clear=True)
        pip = [place / "bin" / "python", "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *packages], check=True)
        done.write_text(wanted)
    return place / "bin" / "python"
