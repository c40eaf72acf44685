from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from diptych.compression.prune import PruneRecipe
from diptych.core.errors import ConfigError
from diptych.core.values import Precision
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan, read_recipe
from diptych.inference.manifest import LONGEST_MODEL_NAME, LOOKS_AGAIN, PROGRAM_NAME
from diptych.targets import Runtime
from diptych.training.encoder import EncoderConfig
from diptych.training.models import PrunedConfig, ResidualNetConfig
from diptych.training.recipe import Replan, TrainingRecipe
from diptych.training.start import StartPlan
from diptych.training.trees import TreesConfig

TOML = """
seed = 7
calibration_items = 64

[teacher]
name = "teacher"
[teacher.network]
name = "residual"
stem = 16
widths = [32, 64]
blocks = [1, 0]
[teacher.training]
epochs = 3
learning_rate = 0.1
replans = [{step = 20, remaining = 5}]

[[students]]
name = "small_1"
network = {name = "residual", stem = 8, widths = [], blocks = []}
training = {}

[[programs]]
runtime = "openvino"
precision = "int8"
"""
NETWORK = ResidualNetConfig(stem=16, widths=(32, 64), blocks=(1, 0))
TRAINING = TrainingRecipe(epochs=3.0, learning_rate=0.1, replans=(Replan(step=20, remaining=5),))
RECIPE = FitRecipe(
    teacher=ModelPlan(name="teacher", network=NETWORK, training=TRAINING),
    students=(
        ModelPlan(
            name="small_1",
            network=ResidualNetConfig(stem=8, widths=(), blocks=()),
            training=TrainingRecipe(learning_rate=None),
        ),
    ),
    programs=(ProgramPlan(runtime="openvino", precision="int8"),),
    calibration_items=64,
    seed=7,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "recipe.toml").write_text(TOML)
    return tmp_path / "recipe.toml"


def write_bundle(folder: Path, document: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "bundle.json").write_bytes(msgspec.json.encode(document))
    return folder


def refusal(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        read_recipe(path)
    assert "\n" not in raised.value.message.strip()
    return raised.value


def test_a_recipe_is_read_from_toml(file: Path) -> None:
    assert read_recipe(file) == RECIPE


def test_a_recipe_is_read_from_a_bundle_and_is_the_one_that_was_written(tmp_path: Path) -> None:
    document = {"name": "x", "provenance": {"seed": 1, "recipe": msgspec.to_builtins(RECIPE)}}
    folder = write_bundle(tmp_path / "x.dip", document)
    assert read_recipe(folder) == RECIPE
    assert read_recipe(folder / "bundle.json") == RECIPE


@pytest.mark.parametrize(
    ("old", "new", "place", "hint"),
    [
        ("stem = 16", "stem = 16\nwidhts = [3]", "$.teacher.network", "did you mean 'widths'?"),
        ("epochs = 3", "epoch = 3", "$.teacher.training", "did you mean 'epochs'?"),
        ("seed = 7", "sed = 7", "unknown field `sed`", "did you mean 'seed'?"),
        (
            "precision =",
            "precison = 1\nprecision =",
            "$.programs[0]",
            "did you mean 'precision'?",
        ),
        ("epochs = 3", "epochs = '3'", "$.teacher.training.epochs", "compare"),
        ("epochs = 3", "epochs = nan", "$.teacher.training.epochs", "compare"),
        ("epochs = 3", "epochs = inf", "$.teacher.training.epochs", "compare"),
        ("epochs = 3", "epochs = 0", "$.teacher.training.epochs", "compare"),
        ("stem = 16", "stem = 0", "$.teacher.network.stem", "compare"),
        (
            "blocks = [1, 0]",
            "blocks = [1]",
            "2 widths and 1 blocks - at `$.teacher.network`",
            "compare",
        ),
        ('name = "residual"', 'name = "vit"', "'vit' - at `$.teacher.network.name`", "networks"),
        ('name = "residual"\n', "", "field `name` - at `$.teacher.network`", "compare"),
        ('"int8"', '"int4"', "$.programs[0].precision", "choose one of"),
        ('"openvino"', '"tvm"', "$.programs[0].runtime", "choose one of"),
        ('"small_1"', '"teacher"', "models share a name: teacher, teacher", "compare"),
        ('"small_1"', '"../../small"', "$.students[0].name", "compare"),
        ('"small_1"', f'"{"s" * 31}"', "sss' has 31 letters, of at most 30", "compare"),
        ("calibration_items = 64", "calibration_items = 3", "$.calibration_items", "compare"),
        ("seed = 7", "seed = ", "cannot be used", "compare"),
    ],
)
def test_a_recipe_that_cannot_be_used_says_where_and_what_to_do(
    file: Path, old: str, new: str, place: str, hint: str
) -> None:
    assert TOML.count(old) >= 1
    file.write_text(TOML.replace(old, new, 1))
    error = refusal(file)
    assert place in error.message
    assert str(file) in error.message
    assert error.hint.startswith(hint)


@pytest.mark.parametrize(
    "document",
    [{}, [], 3, None, {"provenance": 3}, {"provenance": {}}, {"provenance": {"recipe": {}}}],
)
def test_a_bundle_without_a_recipe_is_refused(tmp_path: Path, document: object) -> None:
    assert "cannot be used" in refusal(write_bundle(tmp_path / "x.dip", document)).message


@given(content=st.binary(max_size=60), suffix=st.sampled_from([".toml", ".json", ""]))
def test_any_file_is_a_recipe_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    file = tmp_path_factory.getbasetemp() / f"recipe{suffix}"
    file.write_bytes(content)
    refusal(file)


@pytest.mark.parametrize(
    ("name", "start"), [("deep.toml", b"seed = "), ("deep.json", b'{"name": ')]
)
def test_a_file_that_is_nested_too_deeply_is_refused(
    tmp_path: Path, name: str, start: bytes
) -> None:
    (tmp_path / name).write_bytes(start + b"[" * 100_000)
    error = refusal(tmp_path / name)
    assert "cannot be used" in error.message
    assert len(error.message) < 300
    assert error.hint


@pytest.mark.parametrize("name", ["absent.toml", "absent.dip", "empty"])
def test_a_recipe_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    error = refusal(tmp_path / name)
    assert "cannot read the recipe" in error.message
    assert error.hint == "give a .toml file or the folder of a bundle"


@pytest.mark.parametrize("name", ["teacher", "student-96", "a", "A_1", "x" * LONGEST_MODEL_NAME])
def test_a_name_that_makes_a_file_name_is_allowed(name: str) -> None:
    plan = replace(RECIPE.students[0], name=name)
    assert msgspec.convert(msgspec.to_builtins(plan), ModelPlan) == plan


@pytest.mark.parametrize("name", ["", "-x", "a/b", "..", "a b", "a\n", "é", "a\\b", "a:b"])
def test_a_name_that_could_leave_its_folder_is_refused(name: str) -> None:
    plan = msgspec.to_builtins(RECIPE.students[0]) | {"name": name}
    with pytest.raises(msgspec.ValidationError, match=r"\$\.name"):
        msgspec.convert(plan, ModelPlan)


METHODS = ("guarded", "trained")
"""Those that programs are called by."""


def called(teacher: str, student: str) -> FitRecipe:
    plan = RECIPE.students[0]
    return FitRecipe(teacher=replace(plan, name=teacher), students=(replace(plan, name=student),))


def test_no_name_that_is_allowed_makes_a_program_s_name_too_long() -> None:
    small, other = "s" * LONGEST_MODEL_NAME, "t" * LONGEST_MODEL_NAME
    large = other + LOOKS_AGAIN
    assert called(large, small).teacher.name == large
    made = {f"{large}-{run}-{kind}" for run in get_args(Runtime) for kind in get_args(Precision)}
    made |= {f"{large}-{run}-int8-{how}" for run in get_args(Runtime) for how in METHODS}
    made |= {f"{large}-litert-{kind}{LOOKS_AGAIN}" for kind in get_args(Precision)}
    made |= {f"{large}-litert-int8-{how}{LOOKS_AGAIN}" for how in METHODS}
    made |= {f"{small}-else-{large}", f"{large}-else-{small}"}
    assert [name for name in made if not PROGRAM_NAME.fullmatch(name)] == []


@pytest.mark.parametrize("name", ["x" * (LONGEST_MODEL_NAME + 1), f"x{LOOKS_AGAIN}" * 2 + "y" * 3])
def test_a_name_of_which_a_program_s_may_be_too_long_is_refused_at_once(name: str) -> None:
    told = f"{name!r} has {len(name)} letters, of at most {LONGEST_MODEL_NAME}"
    for names in ((name, "student"), ("teacher", name)):
        with pytest.raises(ConfigError, match=told):
            called(*names)


def test_a_program_is_chosen_by_runtime_and_precision() -> None:
    assert RECIPE.programs[0].choice == ("openvino", "int8")


@pytest.mark.parametrize("config", [TreesConfig(), EncoderConfig(folder="bert")])
def test_what_cannot_be_lowered_teaches_networks_and_is_nothing_else(
    config: TreesConfig | EncoderConfig,
) -> None:
    network = RECIPE.students[0]
    wise = replace(network, name="wise", network=config)
    taught = FitRecipe(teacher=wise, students=(network,))
    assert msgspec.json.decode(msgspec.json.encode(taught), type=FitRecipe) == taught
    for wrong in ({"teacher": wise}, {"teacher": network, "students": (wise,)}):
        with pytest.raises(ConfigError, match="can only teach"):
            FitRecipe(**wrong)  # type: ignore[arg-type]


HALF = PruneRecipe(share=0.5)
PRUNED = ModelPlan(name="half", network=NETWORK, training=TRAINING, prune=HALF)
LEFT = PrunedConfig(network=NETWORK, widths={"head": (32, 10)})


def test_a_pruned_student_says_of_what_it_is_made() -> None:
    smallest = replace(PRUNED, name="smallest", source="half")
    recipe = replace(RECIPE, students=(PRUNED, smallest))
    assert recipe.source_of(PRUNED) == RECIPE.teacher
    assert recipe.source_of(smallest) == PRUNED
    done = replace(recipe, students=(replace(PRUNED, network=LEFT), smallest))
    assert msgspec.json.decode(msgspec.json.encode(done), type=FitRecipe) == done


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source": "half"}, "pruned from 'half', which is no network before it"),
        ({"source": "nobody"}, "pruned from 'nobody', which is no network before it"),
        ({"network": RECIPE.students[0].network}, "has another network or start"),
        ({"start": StartPlan(path="a.dip", sha256="0" * 64)}, "has another network or start"),
        ({"prune": None, "source": "teacher"}, "has the source 'teacher' and is not pruned"),
    ],
)
def test_what_a_student_cannot_be_made_of_is_refused(
    changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        replace(RECIPE, students=(replace(PRUNED, **changes),))


def test_students_that_are_pruned_from_one_that_is_left_out_are_too() -> None:
    wide, narrow = (replace(RECIPE.students[0], name=name) for name in ("wide", "narrow"))
    from_wide = replace(wide, name="from-wide", prune=HALF, source="wide")
    from_that = replace(from_wide, name="from-that", source="from-wide")
    from_narrow = replace(from_wide, name="from-narrow", source="narrow")
    students = (wide, narrow, from_wide, from_that, from_narrow, PRUNED)
    recipe = replace(RECIPE, students=students, most_students=1)
    assert recipe.left_with((wide,)) == replace(
        RECIPE, students=(wide, from_wide, from_that, PRUNED), cheaper=(narrow,)
    )


def test_a_teacher_is_not_pruned_and_trees_have_no_channels() -> None:
    with pytest.raises(ConfigError, match="no network before it"):
        FitRecipe(teacher=PRUNED)
    with pytest.raises(ConfigError, match="no network before it"):
        FitRecipe(
            teacher=replace(PRUNED, name="t", network=TreesConfig(), prune=None), students=(PRUNED,)
        )


def test_the_recipe_of_the_page_on_pruning_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "pruning.md").read_text()
    (tmp_path / "a.toml").write_text(page.split("```toml\n")[1].split("```")[0])
    recipe = read_recipe(tmp_path / "a.toml")
    assert [student.prune is not None for student in recipe.students] == [True, True]


def test_training_in_8_bits_is_part_of_a_plan(tmp_path: Path) -> None:
    text = TOML + 'method = "trained"\n[teacher.quantized]\nepochs = 2\noptimizer = "adamw"\n'
    (tmp_path / "recipe.toml").write_text(text)
    recipe = read_recipe(tmp_path / "recipe.toml")
    assert recipe.teacher.quantized == TrainingRecipe(epochs=2.0, optimizer="adamw")
    assert recipe.programs[0].method == "trained"
