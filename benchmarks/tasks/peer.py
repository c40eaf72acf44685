"""One peer in its own environment; `tasks.peers` and `tasks.race` start it, from `benchmarks/`.

Usage: python -m tasks.peer fit|lane PEER SET DATA OUT SEED. `fit` trains, saves, opens what was
saved, scores it on the test split, times single calls, and prints JSON; `lane` serves a race.
"""

import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from itertools import cycle
from pathlib import Path

import numpy as np

from tasks import lane
from tasks.sets import SCORES, SETS, test_split

PEERS = {
    "fasttext": ("peer_texts", "FastText", "fasttext-numpy2-wheel"),
    "fasttext-quantized": ("peer_texts", "QuantizedFastText", "fasttext-numpy2-wheel"),
    "tfidf-logistic": ("peer_texts", "Logistic", "scikit-learn"),
    "hist-gradient-boosting": ("peer_tables", "Boosting", "scikit-learn"),
    "lightgbm": ("peer_tables", "LightGbm", "lightgbm"),
    "autogluon": ("peer_tables", "AutoGluon", "autogluon.tabular"),
    "mlperf-tiny-dscnn": ("peer_sounds", "DepthwiseSeparable", "ai-edge-litert"),
}
CALLS, SECONDS = 500, 20


def singles(items) -> Sequence[object]:
    if hasattr(items, "iloc"):
        return [items.iloc[[number]] for number in range(min(CALLS, len(items)))]
    return items


def side(peer: str) -> type:
    """Return a peer's class: `train` and `load`, and `items` where it does not take raw ones."""
    module, kind, _package = PEERS[peer]
    return getattr(import_module(f"tasks.{module}"), kind)


def items_of(peer: str, name: str, data: Path):
    own = getattr(side(peer), "items", None)
    return own(name, data) if own else test_split(name, data)[0]


def stored_bytes(out: Path) -> int:
    """Return what was saved: the files named, or in a folder named, `model`."""
    files = [path for path in out.rglob("*") if path.is_file()]
    return sum(p.stat().st_size for p in files if p.relative_to(out).parts[0].startswith("model"))


def fit(peer: str, name: str, data: Path, out: Path, seed: int) -> dict[str, object]:
    result: dict[str, object] = {"peer": peer, "set": name, "seed": seed}
    begin = time.monotonic()
    side(peer).train(name, data, seed, out)
    seconds = time.monotonic() - begin
    answers, call = side(peer).load(name, data, out)
    items = items_of(peer, name, data)
    if answers is not None:
        score, targets = SETS[name].score, test_split(name, data)[1]
        found = np.asarray(answers(items))
        np.save(out / "answers.npy", found)
        result |= {score: SCORES[score](targets, found), "n": len(targets)}
        result |= {"train_seconds": round(seconds, 1)}
    times = lane.block(call, cycle(singles(items)), CALLS, SECONDS)
    result |= {"p50_ms": float(np.quantile(times, 0.5)), "p99_ms": float(np.quantile(times, 0.99))}
    package = PEERS[peer][2]
    result |= {"calls": len(times), "size_bytes": stored_bytes(out)}
    result |= {"package": f"{package} {version(package)}", "python": sys.version.split()[0]}
    return result | {"date": f"{datetime.now(UTC):%Y-%m-%d}"}


def main() -> None:
    job, peer, name, data, out, seed = sys.argv[1:]
    if job == "fit":
        print(json.dumps(fit(peer, name, Path(data), Path(out), int(seed))))
        return
    _answers, call = side(peer).load(name, Path(data), Path(out))
    lane.serve(call, singles(items_of(peer, name, Path(data))))


if __name__ == "__main__":
    main()
