"""Claim: none of ours; what a user would take instead of Diptych, on the same test rows.

Hardware: any; printed. n: the whole test split; single calls one after another, one thread (for
a comparison by turns see `tasks.race`); three seeds. Source: this script, which makes a
virtual environment for each peer with the versions below and runs it there.

Usage, from benchmarks/: python -m tasks.peers [SET ...] [--work FOLDER]. What is finished is not
run again; a peer that fails is told as failed, and the others go on.
"""

import json
import os
import subprocess
from pathlib import Path

from conditions import print_conditions
from environments import interpreter
from tasks.sets import ROOT, SEEDS, SETS, arguments, folder

ENVIRONMENTS = {
    "fasttext": ("fasttext-numpy2-wheel==0.9.2", "numpy==2.4.6"),
    "scikit": ("scikit-learn==1.9.1", "lightgbm==4.7.0", "pandas==3.1.1", "numpy==2.4.6"),
    "autogluon": ("autogluon.tabular[lightgbm,catboost,xgboost]==1.6.3", "numpy==2.4.6"),
    "litert": ("ai-edge-litert==2.3.0", "numpy==2.4.6"),
}
TEXTS = {"fasttext": "fasttext", "fasttext-quantized": "fasttext", "tfidf-logistic": "scikit"}
TABLES = {"hist-gradient-boosting": "scikit", "lightgbm": "scikit", "autogluon": "autogluon"}
PEERS = {"audio": {"mlperf-tiny-dscnn": "litert"}, "text": TEXTS, "table": TABLES}
ONE_SEED = {"mlperf-tiny-dscnn"}


def place(peer: str, name: str, seed: int, work: Path) -> Path:
    """Return the folder of a peer and a seed: last of all it has `result.json`."""
    return work / "peers" / name / f"{peer}-{seed}"


def command(job: str, peer: str, name: str, seed: int, work: Path) -> list[str]:
    """Return the command that runs a peer's `fit` or its `lane`; its folder exists afterwards."""
    own = PEERS[SETS[name].kind][peer]
    python = interpreter(work / f"env-{own}", ENVIRONMENTS[own])
    out = place(peer, name, seed, work)
    out.mkdir(parents=True, exist_ok=True)
    words = [python, "-m", "tasks.peer", job, peer, name, folder(name, work), out, seed]
    return [str(word) for word in words]


def seeds(peer: str) -> tuple[int, ...]:
    return SEEDS[:1] if peer in ONE_SEED else SEEDS


def one_thread() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def result(peer: str, name: str, seed: int, work: Path) -> dict:
    """Return what a peer reached, or that it failed; it is run where it has not been yet."""
    done = place(peer, name, seed, work) / "result.json"
    if not done.is_file():
        end = {"cwd": ROOT / "benchmarks", "stdout": subprocess.PIPE, "env": one_thread()}
        try:
            words = command("fit", peer, name, seed, work)
            output = subprocess.run(words, check=True, text=True, **end).stdout
        except subprocess.CalledProcessError as error:
            return {"peer": peer, "set": name, "seed": seed, "failed": str(error)}
        done.write_text(output.splitlines()[-1] + "\n")
    return json.loads(done.read_text())


def main() -> None:
    asked = arguments(__doc__)
    print_conditions()
    for name in asked.sets:
        for peer in PEERS[SETS[name].kind]:
            for seed in seeds(peer):
                print(json.dumps(result(peer, name, seed, asked.work)), flush=True)


if __name__ == "__main__":
    main()
