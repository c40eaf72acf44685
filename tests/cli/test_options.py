from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from diptych.cli.main import run
from diptych.cli.options import order_of, task_of
from diptych.core.errors import ConfigError
from diptych.core.values import Goal
from diptych.fitting.settings import Settings
from diptych.tasks.own import Task

OWN = """
import numpy as np
from diptych.tasks.own import Task

def decode(item):
    return np.zeros(3, np.float32)

def network(spec, outputs, width):
    raise NotImplementedError

TASK = Task(name="three", shape=(3,), decode=decode, network=network, goal="ordinal")
OTHER = 3
"""


READING = [
    (["--label", "kind"], {"label": "kind"}),
    (["--task", "ordinal", "--order", "low,high"], {"goal": "ordinal", "order": ("low", "high")}),
    (["--image-size", "48"], {"image_size": 48}),
    (["--validation-items", "40"], {"validation_items": 40}),
    (["--skip-unreadable", "--no-cache"], {"skip_unreadable": True, "cache": False}),
]
SEARCH = [
    (["--jobs", "2"], {"jobs": 2}),
    (["--unlabelled", "more"], {"unlabelled": Path("more")}),
    (["--target", "edge"], {"target": "edge"}),
]
TRAINING = [
    (["--device", "cuda:1", "--shard"], {"device": "cuda:1", "shard": True}),
    (["--tune", "--run", "a.run"], {"tune": True, "run": Path("a.run")}),
    (["--checkpoint-every", "5m"], {"checkpoint_s": 300.0}),
    (["--start", "a.dip"], {"start": Path("a.dip")}),
]
DEVICES = (["--devices", "3"], {"devices": 3})


@pytest.mark.parametrize(
    ("verb", "words", "expected"),
    [
        *(("fit", *each) for each in (*READING, *SEARCH, DEVICES)),
        *(("compress", *each) for each in (*READING, *SEARCH)),
        *(("train", *each) for each in (*READING, *TRAINING, DEVICES)),
    ],
)
def test_what_is_asked_for_is_handed_down(
    verb: str, words: list[str], expected: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[Settings]()

    def ask(*given: object, settings: Settings, **others: object) -> None:
        asked.append(settings)
        raise ConfigError("that is all there was to see")

    monkeypatch.setattr(f"diptych.cli.{verb}.{verb}", ask)
    assert run([verb, "digits", *words]) == 2
    assert {name: getattr(asked[0], name) for name in expected} == expected


@pytest.mark.parametrize("verb", ["fit", "train"])
def test_verbs_that_share_options_explain_them_alike(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([verb, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("--time-limit", "Such as 90s, 25m or 1.5h.", "--recipe", "--skip-unreadable"):
        assert words in shown
    for words in ("--task", "--order", "Ordinal classes from least to most"):
        assert words in shown


@pytest.mark.parametrize("goal", get_args(Goal))
def test_a_task_is_a_goal_by_its_name(goal: Goal) -> None:
    assert task_of(goal) == (goal, None)


def test_without_a_task_and_an_order_the_labels_say() -> None:
    assert task_of(None) == (None, None)
    assert order_of(None) is None


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("regresion", "regression"),
        ("Ordinal", "ordinal"),
        ("multilabel", "multi-label"),
        ("clasification", "classification"),
    ],
)
def test_a_misspelt_task_gets_the_nearest_name(word: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"{word!r}") as raised:
        task_of(word)
    assert f"did you mean {nearest!r}?" in raised.value.hint


def test_a_task_like_no_other_gets_the_names_of_the_goals() -> None:
    with pytest.raises(ConfigError, match="'xyzzy'") as raised:
        task_of("xyzzy")
    assert all(goal in raised.value.hint for goal in get_args(Goal))


def test_a_users_own_task_is_taken_from_its_file_with_its_goal(tmp_path: Path) -> None:
    (tmp_path / "three_task.py").write_text(OWN)
    goal, own = task_of(f"{tmp_path / 'three_task.py'}:TASK")
    assert goal == "ordinal"
    assert isinstance(own, Task)
    assert own.name == "three"
    with pytest.raises(ConfigError, match="'TSK'"):
        task_of(f"{tmp_path / 'three_task.py'}:TSK")
    with pytest.raises(ConfigError, match="not a diptych"):
        task_of(f"{tmp_path / 'three_task.py'}:OTHER")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("low,medium,high", ("low", "medium", "high")),
        (" low , medium ,high ", ("low", "medium", "high")),
        ("1,2", ("1", "2")),
        ("one word,two words", ("one word", "two words")),
    ],
)
def test_an_order_is_the_names_between_the_commas(text: str, expected: tuple[str, ...]) -> None:
    assert order_of(text) == expected


@pytest.mark.parametrize("verb", ["fit", "train", "inspect"])
@pytest.mark.parametrize(
    ("words", "seen", "hint"),
    [
        (["--task", "regresion"], "regresion", "regression"),
        (["--task", "ordinal", "--order", "0,1,2,3,4,5,6,7,8,nine"], "class '9'", "nine"),
        (["--task", "ordinal", "--order", "0,1,1"], "'1' twice", "once"),
    ],
)
def test_a_wrong_task_or_order_is_one_line(
    verb: str, words: list[str], seen: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([verb, "digits", *words]) == 2
    out, err = capsys.readouterr()
    lines = err.strip().splitlines()
    assert out == ""
    assert lines[0].startswith("error: ")
    assert seen in lines[0]
    assert lines[1].startswith("hint: ")
    assert hint in lines[1]
    assert len(lines) == 2


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give class folders of pictures, which are large enough to be kept."""
    folder, draw = tmp_path_factory.mktemp("data") / "noise", np.random.default_rng(0)
    for name in ("ant", "bee"):
        (folder / name).mkdir(parents=True)
        for number in range(10):
            pixels = draw.integers(0, 256, (320, 320, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.bmp")
    return folder


@pytest.mark.parametrize("words", [[], ["--no-cache"]])
@pytest.mark.parametrize("verb", ["inspect", "fit", "train", "evaluate", "diff"])
def test_what_is_decoded_is_kept_unless_asked_not_to(
    verb: str,
    words: list[str],
    noise: Path,
    tmp_path: Path,
    tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Training verbs end after the data was read: by a limit, and a folder, that cannot be."""
    monkeypatch.setenv("DIPTYCH_CACHE", str(tmp_path / "cache"))
    bundle, other = str(tiny_bundle), tmp_path / "other"
    other.mkdir()
    (other / "note.txt").touch()
    before = {"evaluate": [bundle], "diff": [bundle, bundle]}.get(verb, [])
    after = {
        "fit": ["--budget", "rmse<=1"],
        "train": ["--run", str(other)],
    }.get(verb, [])  # fmt: skip
    size = ["--image-size", "8"] if verb in {"inspect", "fit", "train"} else []
    code = run([verb, *before, str(noise), *after, *size, *words])
    assert code == {"inspect": 0, "evaluate": 0, "diff": 3}.get(verb, 2)
    assert (tmp_path / "cache").exists() == (not words)


def test_a_run_that_goes_on_keeps_to_its_cache(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--resume", "a.run", "--no-cache"]) == 2
    assert "--no-cache cannot change in a run that goes on" in capsys.readouterr().err
