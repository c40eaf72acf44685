"""Finished bundles lowered for other kinds of hardware."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

import diptych
from diptych.core.errors import BundleError, ConfigError, StorageError
from diptych.core.files import sha256_of_file
from diptych.data import read
from diptych.data.reading import Options
from diptych.fitting.export import add_programs, measure_again, named, open_finished
from diptych.fitting.program_plan import ProgramPlan
from diptych.fitting.recipe import FitRecipe, ModelPlan
from diptych.fitting.settings import Settings
from diptych.fitting.train import train
from diptych.inference import store
from diptych.inference.bundle import Bundle
from diptych.inference.runtimes import obstacle
from diptych.targets import lacking
from diptych.training.models import ResidualNetConfig
from diptych.training.recipe import TrainingRecipe

pytestmark = pytest.mark.slow
SHAPE = ResidualNetConfig(stem=8, widths=(16,), blocks=(0,))
CUDA = "onnxruntime-cuda"
needs_no_cuda = pytest.mark.skipif(not obstacle(CUDA), reason="there is a CUDA device")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    model = ModelPlan(name="net", network=SHAPE, training=TrainingRecipe(epochs=3, batch_size=64))
    recipe = FitRecipe(
        teacher=model, programs=(ProgramPlan(runtime="onnxruntime", precision="fp32"),)
    )
    out = tmp_path_factory.mktemp("bundles") / "digits.dip"
    return train("digits", out=out, settings=Settings(recipe=recipe))


def test_the_rebuilt_network_is_the_one_whose_golden_answers_are_recorded(made: Bundle) -> None:
    finished = open_finished(made.path)
    (program,) = made.manifest.programs
    recorded = made.golden().expected[program.name]
    np.testing.assert_allclose(finished.reference, recorded, atol=program.tolerance)


def test_a_program_is_added_to_a_copy_and_answers_alike(made: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    before = sha256_of_file(made.path / "bundle.json")
    path, lowered = add_programs(made.path, "cpu", tmp_path / "more.dip")
    assert sha256_of_file(made.path / "bundle.json") == before
    added = next(each for each in lowered if each.runtime == "openvino")
    assert (added.name, added.precision, added.flips) == ("net-openvino-fp32", "fp32", 0)
    assert 0 < added.max_difference < 1e-3
    assert "int8" not in {each.precision for each in lowered}
    with diptych.load(path, runtime="openvino") as more:
        assert more.program.name == "net-openvino-fp32"
        pixels = made.golden().inputs
        np.testing.assert_allclose(more.run(pixels), made.run(pixels), atol=1e-3)
    with diptych.load(path) as more:
        assert more.program == made.program
        assert more.manifest.model == made.manifest.model
    assert (path / "README.md").exists()


def test_a_bundle_can_be_added_to_in_place_and_once(made: Bundle, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    path, lowered = add_programs(made.path, "cpu", tmp_path / "a.dip")
    with pytest.raises(ConfigError, match="has all programs for cpu that need no calibration"):
        add_programs(path, "cpu", path)
    again, _ = add_programs(path, "cuda", path)
    assert again == path
    assert len(store.read(path)[0].programs) == 1 + len(lowered) + 1


@needs_no_cuda
def test_what_cannot_run_here_is_unverified_and_answers_by_its_stand_in(
    made: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "cuda.dip"
    with measure_again(made.path, "cuda", "digits", out) as bundle:
        manifest = bundle.manifest
        assert bundle.program.runtime == "onnxruntime"
        assert bundle.predict(bundle.golden().inputs[0]).label in bundle.labels
    assert f"{obstacle(CUDA)}: using 'net-onnxruntime-fp32'" in caplog.text
    first, second = manifest.programs
    assert (first.runtime, first.unverified) == (CUDA, obstacle(CUDA))
    assert first.files == second.files
    (candidate,) = manifest.candidates
    assert (candidate.unverified, candidate.p99_ms.n) == (obstacle(CUDA), 0)
    assert candidate.score.n == len(read("digits", Options(seed=0)).validation)
    assert manifest.model.p99_ms is None
    assert manifest.model.energy is None
    assert f"Unverified: {first.name} could not run" in (out / "README.md").read_text()
    with pytest.raises(ImportError, match="needs the runtime 'onnxruntime-cuda'"):
        diptych.load(out, runtime=CUDA)


@needs_no_cuda
def test_a_latency_that_was_not_measured_is_never_passed(made: Bundle, tmp_path: Path) -> None:
    budget = "accuracy>=10%, p99<=1000s, size<=1MB, cost<=$1000"
    limited = tmp_path / "limited.dip"
    manifest, folder = store.read(made.path)
    names = {file.path for file in (*manifest.files, *manifest.programs[0].files)}
    contents = {name: (folder / name).read_bytes() for name in names}
    store.write(limited, replace(manifest, budget=budget), contents)
    with measure_again(limited, "cuda", "digits", tmp_path / "cuda.dip") as bundle:
        terms = {term.name: term for term in bundle.manifest.terms}
    assert {name: term.verdict for name, term in terms.items()} == {
        "accuracy": "PASS", "p99": "CANNOT TELL", "size": "PASS", "cost": "CANNOT TELL",
    }  # fmt: skip
    assert terms["p99"].method == f"not measured: {obstacle(CUDA)}"
    assert terms["p99"].samples_needed is None
    assert bundle.manifest.verdict == "CANNOT TELL"


def test_with_its_data_a_new_bundle_is_measured_in_int8_too(made: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "portable.dip"
    with measure_again(made.path, "cpu-portable", "digits", out) as bundle:
        manifest = bundle.manifest
    assert {row.precision for row in manifest.candidates} >= {"fp32", "int8"}
    assert manifest.teacher.score == made.manifest.model.score
    assert manifest.training.samples == 0
    assert manifest.provenance.calibration_sha256 is not None
    assert (out / "weights.safetensors").read_bytes() == (
        made.path / "weights.safetensors"
    ).read_bytes()


@pytest.mark.skipif(bool(lacking("litert")), reason="the extra edge-export is absent")
def test_a_bundle_for_small_devices_is_measured_and_opened(made: Bundle, tmp_path: Path) -> None:
    path, (added,) = add_programs(made.path, "edge", tmp_path / "more.dip")
    assert (added.name, added.flips) == ("net-litert-fp32", 0)
    with diptych.load(path, runtime="litert") as more:
        pixels = made.golden().inputs
        np.testing.assert_allclose(more.run(pixels), made.run(pixels), atol=1e-3)
    with measure_again(made.path, "edge", "digits", tmp_path / "edge.dip") as bundle:
        rows = {row.precision: row.in_float for row in bundle.manifest.candidates}
    assert rows == {"fp32": (), "int8": ("MUL", "SUB")}


def test_other_data_than_the_bundle_was_made_of_is_refused(made: Bundle, tmp_path: Path) -> None:
    digits = read("digits", Options(seed=0))
    other = dataclasses.replace(digits, record=replace(digits.record, sha256="1" * 64))
    with pytest.raises(ConfigError, match=r"is not the data that .* was made of"):
        measure_again(made.path, "cpu-portable", other, tmp_path / "a.dip")


def test_what_cannot_be_exported_is_refused_before_any_work(made: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no target 'gpu'"):
        add_programs(made.path, "gpu")
    with pytest.raises(ConfigError, match="is no bundle"):
        add_programs(tmp_path, "cpu-portable", tmp_path / "a.dip")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("precious")
    with pytest.raises(StorageError, match="not a bundle"):
        add_programs(made.path, "cuda", tmp_path / "mine")


def test_a_bundle_whose_weights_were_changed_is_refused(made: Bundle, tmp_path: Path) -> None:
    for path in made.path.iterdir():
        (tmp_path / "a.dip").mkdir(exist_ok=True)
        (tmp_path / "a.dip" / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / "a.dip/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(BundleError, match="was changed"):
        add_programs(tmp_path / "a.dip", "cuda")


def test_a_new_bundle_is_called_by_its_target(tmp_path: Path) -> None:
    assert named(tmp_path / "digits.dip", "edge") == tmp_path / "digits-edge.dip"
