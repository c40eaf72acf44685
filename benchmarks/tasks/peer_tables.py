"""What a user would take for a table: scikit-learn's boosted trees, LightGBM or AutoGluon.

Single rows are given as data frames of one row that stand ready, with the types the model wants:
making a frame of a row as it arrives, a tenth of a millisecond and more, is not counted.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from tasks.sets import SETS

METRICS = {"auroc": "roc_auc", "rmse": "root_mean_squared_error"}


def read(name: str, path: Path) -> tuple[pd.DataFrame, pd.Series]:
    table = pd.read_csv(path)
    target = table.pop(SETS[name].label)
    return table, target


def words(table: pd.DataFrame) -> list[str]:
    return [column for column in table if not pd.api.types.is_numeric_dtype(table[column])]


class Boosting:
    """scikit-learn's HistGradientBoosting as it comes, categories through an ordinal encoder."""

    @classmethod
    def train(cls, name: str, data: Path, seed: int, out: Path) -> None:
        import joblib

        table, target = read(name, data / "train.csv")
        joblib.dump(cls.model(name, table, seed).fit(table, target), out / "model.joblib")

    @staticmethod
    def model(name: str, table: pd.DataFrame, seed: int):
        from sklearn.compose import make_column_transformer
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OrdinalEncoder

        missing = float("nan")
        kinds = {"auroc": HistGradientBoostingClassifier, "rmse": HistGradientBoostingRegressor}
        encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=missing, encoded_missing_value=missing
        )
        named = words(table)
        boosting = kinds[SETS[name].score](
            categorical_features=list(range(len(named))), random_state=seed
        )
        columns = make_column_transformer((encoder, named), remainder="passthrough")
        return make_pipeline(columns, boosting)

    @classmethod
    def load(cls, name: str, data: Path, out: Path) -> tuple[Callable, Callable]:
        import joblib

        return cls.answers(name, joblib.load(out / "model.joblib"))

    @staticmethod
    def answers(name: str, model) -> tuple[Callable, Callable]:
        if SETS[name].score == "rmse":
            return model.predict, model.predict
        return lambda table: model.predict_proba(table)[:, 1], model.predict_proba

    @staticmethod
    def items(name: str, data: Path) -> pd.DataFrame:
        return read(name, data / "test.csv")[0]


class LightGbm(Boosting):
    """LightGBM as it comes, categories as pandas categoricals."""

    @classmethod
    def train(cls, name: str, data: Path, seed: int, out: Path) -> None:
        import joblib
        import lightgbm

        table, target = read(name, data / "train.csv")
        kinds = {"auroc": lightgbm.LGBMClassifier, "rmse": lightgbm.LGBMRegressor}
        model = kinds[SETS[name].score](random_state=seed, verbose=-1)
        model.fit(table.astype(dict.fromkeys(words(table), "category")), target)
        joblib.dump(model, out / "model.joblib")

    @classmethod
    def load(cls, name: str, data: Path, out: Path) -> tuple[Callable, Callable]:
        import joblib

        model = joblib.load(out / "model.joblib")
        return cls.answers(name, model.set_params(n_jobs=1))  # by itself one for each core

    @staticmethod
    def items(name: str, data: Path) -> pd.DataFrame:
        table = read(name, data / "test.csv")[0]
        return table.astype(dict.fromkeys(words(table), "category"))


class AutoGluon(Boosting):
    """AutoGluon-Tabular, medium quality, in our time limit: what it keeps for deployment.

    It has LightGBM, CatBoost, XGBoost and scikit-learn to choose from; its networks need torch,
    which its plain package does without. Its models stay in memory between calls.
    """

    @classmethod
    def train(cls, name: str, data: Path, seed: int, out: Path) -> None:
        from autogluon.tabular import TabularPredictor

        task, table = SETS[name], pd.read_csv(data / "train.csv")
        with TemporaryDirectory() as folder:
            settings = {"path": folder, "verbosity": 1, "learner_kwargs": {"random_state": seed}}
            predictor = TabularPredictor(task.label, eval_metric=METRICS[task.score], **settings)
            predictor.fit(table, presets="medium_quality", time_limit=60 * task.minutes)
            predictor.clone_for_deployment(str(out / "model"))

    @classmethod
    def load(cls, name: str, data: Path, out: Path) -> tuple[Callable, Callable]:
        from autogluon.tabular import TabularPredictor

        model = TabularPredictor.load(str(out / "model"))
        model.persist()
        if SETS[name].score == "rmse":
            return lambda table: model.predict(table).to_numpy(), model.predict
        positive = model.positive_class
        return lambda table: model.predict_proba(table)[positive].to_numpy(), model.predict_proba
