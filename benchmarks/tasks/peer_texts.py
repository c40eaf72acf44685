"""What a user would take for text: the fastText package, or TF-IDF and logistic regression.

Each is tuned lightly, over four settings, on the validation split (a tenth of the training rows
where there is none), then trained on all training rows with the best of them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tasks.sets import accuracy, classes, rows

HELD_OUT = 0.1
FASTTEXT = [{"lr": lr, "epoch": epoch} for lr in (0.1, 0.5) for epoch in (5, 25)]
STRENGTHS = [1.0, 3.0, 10.0, 30.0]

Texts = tuple[list[str], list[str]]
Model = Callable[[Sequence[str]], list[str]]


class FastText:
    """Supervised, words and pairs of words, one thread; lower case, as its tutorial does."""

    suffix = "bin"

    @classmethod
    def train(cls, name: str, data: Path, seed: int, out: Path) -> None:
        def fit(texts: Texts, setting: dict) -> object:
            return supervised(texts, setting, seed)

        def model(texts: Texts, setting: dict) -> Model:
            return lambda items: labels_of(fit(texts, setting), items)

        texts, best = tuned(data, model, FASTTEXT)
        cls.save(fit(texts, best), texts, out)

    @classmethod
    def save(cls, model, texts: Texts, out: Path) -> None:
        model.save_model(str(out / f"model.{cls.suffix}"))

    @classmethod
    def load(cls, name: str, data: Path, out: Path) -> tuple[Callable, Callable]:
        import fasttext

        model = fasttext.load_model(str(out / f"model.{cls.suffix}"))
        numbers = {label: number for number, label in enumerate(classes(name, data))}
        return (
            lambda items: np.array([numbers[label] for label in labels_of(model, items)]),
            lambda item: model.predict(item.lower()),
        )


class QuantizedFastText(FastText):
    """The same, quantized and pruned to 100,000 features with retraining, as its manual does."""

    suffix = "ftz"

    @classmethod
    def save(cls, model, texts: Texts, out: Path) -> None:
        with TemporaryDirectory() as folder:
            path = lines(texts, Path(folder))
            model.quantize(input=str(path), qnorm=True, retrain=True, cutoff=100_000, thread=1)
        super().save(model, texts, out)


class Logistic:
    """scikit-learn's pipeline: TF-IDF of words and pairs of words, logistic regression."""

    @staticmethod
    def train(name: str, data: Path, seed: int, out: Path) -> None:
        import joblib
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        def fit(texts: Texts, strength: float):
            regression = LogisticRegression(C=strength, max_iter=1000, random_state=seed)
            return make_pipeline(TfidfVectorizer(ngram_range=(1, 2)), regression).fit(*texts)

        texts, best = tuned(data, lambda *given: fit(*given).predict, STRENGTHS)
        joblib.dump(fit(texts, best), out / "model.joblib")

    @staticmethod
    def load(name: str, data: Path, out: Path) -> tuple[Callable, Callable]:
        import joblib

        model = joblib.load(out / "model.joblib")
        numbers = {label: number for number, label in enumerate(classes(name, data))}
        return (
            lambda items: np.array([numbers[label] for label in model.predict(items)]),
            lambda item: model.predict([item]),
        )


def tuned(data: Path, train: Callable[..., Model], settings: list) -> tuple[Texts, object]:
    """Return the training texts, and the setting with the highest validation accuracy."""
    texts = read(data / "train.csv")
    if (data / "validation.csv").is_file():
        part, held = texts, read(data / "validation.csv")
    else:
        order = np.random.default_rng(0).permutation(len(texts[0]))
        cut = round(HELD_OUT * len(order))
        part, held = pick(texts, order[cut:]), pick(texts, order[:cut])
    labels = np.array(held[1])
    scores = [accuracy(labels, np.array(train(part, one)(held[0]))) for one in settings]
    return texts, settings[int(np.argmax(scores))]


def read(path: Path) -> Texts:
    table = rows(path)
    return [row["text"] for row in table], [row["label"] for row in table]


def pick(texts: Texts, chosen: np.ndarray) -> Texts:
    return [texts[0][i] for i in chosen], [texts[1][i] for i in chosen]


def supervised(texts: Texts, setting: dict, seed: int):
    import fasttext

    with TemporaryDirectory() as folder:
        path = str(lines(texts, Path(folder)))
        fixed = {"wordNgrams": 2, "thread": 1, "verbose": 0}
        fixed["seed"] = seed + 1  # its generator takes 0 for 1
        return fasttext.train_supervised(input=path, **setting, **fixed)


def lines(texts: Texts, folder: Path) -> Path:
    path = folder / "train.txt"
    pairs = zip(*texts, strict=True)
    path.write_text("".join(f"__label__{label} {text.lower()}\n" for text, label in pairs))
    return path


def labels_of(model, items: Sequence[str]) -> list[str]:
    found, _scores = model.predict([item.lower() for item in items])
    return [labels[0].removeprefix("__label__") for labels in found]
