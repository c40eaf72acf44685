"""Claim: importing takes at most 0.15 s, `--help` 0.3 s, loading and predicting once 0.6 s.

Hardware: any; printed. n: 5 new processes each, after one that is not counted (median, range).
Source: this script; wall time of whole processes, interpreter included, on a bundle that is
trained on the built-in digits first.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from conditions import print_conditions

RUNS = 5
IMPORT = "import diptych"
PREDICT = "import diptych, sys; diptych.load(sys.argv[1]).predict(sys.argv[2])"


def seconds(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    print_conditions()
    with tempfile.TemporaryDirectory() as folder:
        bundle, picture = Path(folder, "digits.dip"), Path(folder, "digit.png")
        diptych = [sys.executable, "-m", "diptych"]
        budget = "accuracy>=90%"
        subprocess.run([*diptych, "fit", "digits", "--budget", budget, "--out", bundle], check=True)
        make = "from sklearn.datasets import load_digits; from PIL import Image; import sys;"
        make += "Image.fromarray((load_digits().images[0]*15).astype('uint8')).save(sys.argv[1])"
        subprocess.run([sys.executable, "-c", make, picture], check=True)
        rows = {
            "bare interpreter": ([sys.executable, "-c", "pass"], None),
            "import diptych": ([sys.executable, "-c", IMPORT], 0.15),
            "diptych --help": ([*diptych, "--help"], 0.3),
            "load + first prediction": ([sys.executable, "-c", PREDICT, bundle, picture], 0.6),
        }
        print(f"\n{'':<26}{'median s':>9}{'range s':>16}{'limit s':>9}{'share of limit':>16}")
        times: dict[str, list[float]] = {name: [] for name in rows}
        for _ in range(RUNS + 1):
            for name, (command, _limit) in rows.items():
                times[name].append(seconds([str(word) for word in command]))
        for name, (_command, limit) in rows.items():
            counted = times[name][1:]
            spread = f"{min(counted):.3f} to {max(counted):.3f}"
            against = f"{limit:>9.2f}{median(counted) / limit:>16.2f}" if limit else ""
            print(f"{name:<26}{median(counted):>9.3f}{spread:>16}{against}")


if __name__ == "__main__":
    main()
