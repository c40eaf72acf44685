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


def fit(peer: str, name: str, data: Path, out: Path, seed: int) -> dict[str, object]:
    module, kind, package = PEERS[peer]
    model = getattr(import_module(f"tasks.{module}"), kind)
    begin = time.monotonic()
    model.train(name, data, seed, out)
    seconds = time.monotonic() - begin
    answers, call = model.load(name, data, out)
    items = model.items(name, data) if hasattr(model, "items") else test_split(name, data)[0]
    result: dict[str, object] = {"peer": peer, "set": name, "seed": seed, "n": len(items)}
    if answers is not None:
        targets = test_split(name, data)[1]
        found = np.asarray(answers(items))
        np.save(out / "answers.npy", found)
        result |= {SETS[name].score: SCORES[SETS[name].score](targets, found)}
        result |= {"train_seconds": round(seconds, 1)}
    files = [path for path in out.rglob("*") if path.is_file() and path.name.startswith("model")]
    if (out / "model").is_dir():
        files = [path for path in (out / "model").rglob("*") if path.is_file()]
    result["size_bytes"] = sum(path.stat().st_size for path in files)
    times = lane.block(call, cycle(singles(items)), CALLS, SECONDS)
    result |= {"p50_ms": float(np.quantile(times, 0.5)), "p99_ms": float(np.quantile(times, 0.99))}
    result |= {"calls": len(times), "package": f"{package} {version(package)}"}
    return result | {"python": sys.version.split()[0], "date": f"{datetime.now(UTC):%Y-%m-%d}"}


def main() -> None:
    job, peer, name, data, out, seed = sys.argv[1:]
    if job == "fit":
        print(json.dumps(fit(peer, name, Path(data), Path(out), int(seed))))
        return
    module, kind, _package = PEERS[peer]
    model = getattr(import_module(f"tasks.{module}"), kind)
    _answers, call = model.load(name, Path(data), Path(out))
    has_items = hasattr(model, "items")
    items = model.items(name, Path(data)) if has_items else test_split(name, Path(data))[0]
    lane.serve(call, singles(items))


if __name__ == "__main__":
    main()
