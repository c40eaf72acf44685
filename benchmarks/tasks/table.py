"""The table of `benchmarks/tasks`: ours beside what a user would take, as Markdown.

It measures nothing: `tasks.peers`, `tasks.ours` and `tasks.race` have run before, and what they
have not run is left out. Scores are means over seeds with their spread. The difference is ours less
the peer's, both means over seeds, on the same test items, with a 95 % interval from each item's
share in it (for the AUROC that of DeLong, for the RMSE the delta method); what the seeds would add
is seen in the spread. Times are those of the race on seed 0.

Usage, from benchmarks/: python -m tasks.table [SET ...] [--work FOLDER].
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from conditions import print_conditions
from diptych.measure.auroc import components
from diptych.measure.proportions import normal_quantile
from tasks import ours
from tasks.peers import PEERS, seeds
from tasks.sets import SCORES, SEEDS, SETS, arguments, folder, test_split

HEADER = (
    "| | score | ours less this | size | p50 | p99 | p50 / ours |\n|---|---|---|---|---|---|---|"
)


def accuracy_shares(targets: np.ndarray, answers: np.ndarray) -> np.ndarray:
    right = targets == answers
    return (right - right.mean()) / len(right)


def auroc_shares(targets: np.ndarray, answers: np.ndarray) -> np.ndarray:
    _area, shares = components(answers, targets == 1)
    return shares


def rmse_shares(targets: np.ndarray, answers: np.ndarray) -> np.ndarray:
    squares = (targets - answers) ** 2
    return (squares - squares.mean()) / (2 * len(squares) * np.sqrt(squares.mean()))


SHARES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "accuracy": accuracy_shares,
    "auroc": auroc_shares,
    "rmse": rmse_shares,
}
"""What each item (N,) adds to a score's error: their squares sum to the score's variance."""


def difference(
    score: str, targets: np.ndarray, first: Sequence[np.ndarray], second: Sequence[np.ndarray]
) -> tuple[float, float, float]:
    """Return the mean score of the first answers less that of the second, and its interval."""
    both = (first, second)
    means = [np.mean([SCORES[score](targets, one) for one in side]) for side in both]
    shares = [np.mean([SHARES[score](targets, one) for one in side], axis=0) for side in both]
    value = float(means[0] - means[1])
    half = normal_quantile(0.95) * float(np.sqrt(np.sum((shares[0] - shares[1]) ** 2)))
    return value, value - half, value + half


def written(score: str, value: float, sign: str = "") -> str:
    if score == "accuracy":
        return f"{100 * value:{sign}.2f}"
    return f"{value:{sign},.0f}" if score == "rmse" else f"{value:{sign}.4f}"


def read(places: Sequence[Path]) -> tuple[list[dict], list[np.ndarray]]:
    """Return the results and the answers of the seeds that are finished."""
    done = [place for place in places if (place / "result.json").is_file()]
    results = [json.loads((place / "result.json").read_text()) for place in done]
    files = [place / "answers.npy" for place in done]
    return results, [np.load(file) for file in files if file.is_file()]


def row(who: str, cells: Sequence[str], result: dict, time: dict) -> str:
    cells = [*cells, f"{result['size_bytes']:,} B"]
    if time:
        ratio = f"{time['ratio']:.2f} ({time['low']:.2f} to {time['high']:.2f})"
        cells += [f"{time['p50_ms']:.4f} ms", f"{time['p99_ms']:.4f} ms", ratio]
    return f"| {' | '.join([who, *cells, *['-'] * (6 - len(cells))])} |"


def scored(score: str, results: Sequence[dict]) -> str:
    values = [result[score] for result in results if score in result]
    if not values:
        return "-"
    spread = f" ({written(score, min(values))} to {written(score, max(values))}, {len(values)})"
    return written(score, float(np.mean(values))) + (spread if len(values) > 1 else "")


def rows(name: str, work: Path) -> list[str]:
    score, data = SETS[name].score, folder(name, work)
    targets = test_split(name, data)[1]
    race = work / "race" / f"{name}.json"
    times = json.loads(race.read_text()) if race.is_file() else {}
    results, answers = read([ours.place(name, seed, work) for seed in SEEDS])
    lines = []
    if results:
        cells = [scored(score, results), ""]
        lines.append(row("**diptych**", cells, results[0], times.get("diptych", {})))
    for peer in PEERS[SETS[name].kind]:
        theirs, given = read([work / "peers" / name / f"{peer}-{seed}" for seed in seeds(peer)])
        if not theirs:
            continue
        apart = "-"
        if answers and given:
            value, low, high = difference(score, targets, answers, given)
            apart = f"{written(score, value, '+')} ({written(score, low, '+')} to "
            apart += f"{written(score, high, '+')})"
        lines.append(row(peer, [scored(score, theirs), apart], theirs[0], times.get(peer, {})))
    return lines


def main() -> None:
    asked = arguments(__doc__)
    print_conditions()
    for name in asked.sets:
        task, lines = SETS[name], rows(name, asked.work)
        count = len(test_split(name, folder(name, asked.work))[0])
        unit = {"accuracy": "accuracy, %", "auroc": "AUROC", "rmse": "RMSE"}[task.score]
        print(f"\n{name}: {unit}, n {count:,}; `{task.budget}` in {task.minutes} minutes\n")
        print("\n".join([HEADER, *lines]))


if __name__ == "__main__":
    main()
