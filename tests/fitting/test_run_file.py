import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.core.errors import ConfigError
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.run_file import (
    NAME,
    RunFile,
    is_readable,
    read,
    request_of,
    settings_of,
    write,
)
from diptych.fitting.settings import Settings
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

PLAN = ModelPlan(
    name="teacher",
    network=ResidualNetConfig(stem=8, widths=(16,), blocks=(0,)),
    training=TrainingRecipe(learning_rate=None, target_score=0.93),
)
RUN = RunFile(
    data="digits",
    out="/tmp/a.dip",
    seed=3,
    recipe=FitRecipe(teacher=PLAN),
    seconds=1.5,
    order=("few", "many"),
    cache=False,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path, RUN)
    assert read(tmp_path) == RUN


def test_a_request_says_where_things_are_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(unlabelled=Path("more"), label="kind", cache=False)
    recipe = FitRecipe(teacher=PLAN, seed=3)
    run = request_of("photos", Path("a.dip"), recipe, settings)
    assert (run.data, run.out) == (str(tmp_path / "photos"), str(tmp_path / "a.dip"))
    assert (run.seed, run.recipe, run.label) == (3, recipe, "kind")
    again = settings_of(run, Settings())
    assert again.unlabelled == tmp_path / "more"
    assert not again.cache
    assert request_of("digits", Path("a.dip"), recipe, settings).data == "digits"
    assert request_of(None, Path("a.dip"), recipe, settings).data is None


def test_a_folder_that_is_none_of_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a run's folder"):
        read(tmp_path)


def test_another_format_is_refused(tmp_path: Path) -> None:
    write(tmp_path, RUN)
    changed = json.loads((tmp_path / NAME).read_text()) | {"format": 2}
    (tmp_path / NAME).write_text(json.dumps(changed))
    with pytest.raises(ConfigError, match="run format 2, not 1"):
        read(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b'{"data": "\xff"}', b'{"recipe": {"teacher": {"network": {"stem": ' + b"[" * 100_000],
)
def test_a_damaged_request_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert not is_readable(tmp_path)
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        read(tmp_path)
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300


@given(junk=st.binary(max_size=100))
def test_anything_else_is_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes
) -> None:
    folder = tmp_path_factory.mktemp("run")
    (folder / NAME).write_bytes(junk)
    with pytest.raises(ConfigError, match="cannot be used") as caught:
        read(folder)
    assert "\n" not in caught.value.message
