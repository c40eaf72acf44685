import numpy as np
import pytest
import torch
from torch import nn

from diptych.compression.quantize import quantization_aware
from diptych.core.errors import TargetError
from diptych.core.specs import ImageSpec
from diptych.targets import TARGETS
from diptych.targets.guarding import Guard
from diptych.targets.lower import lower, lower_all, lower_exported, lower_guarded, lower_trained
from diptych.targets.parity import check, is_faithful, tolerance
from diptych.training.models import ResidualNet, ResidualNetConfig

pytest.importorskip("nncf")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def steps():
    return []


@pytest.fixture(scope="module")
def programs(trained, steps):
    choices = TARGETS["cpu"]
    return lower_all(trained.network, trained.spec, choices, trained.train, steps.append, "net")


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_calibrated_program_is_the_one_that_is_nearest_to_float_here(
    trained, monkeypatch, runtime
):
    nearest = {"onnxruntime": {"model.onnx": b"1"}, "openvino": {"model.xml": b"2"}}
    monkeypatch.setattr(
        "diptych.targets.lower.quantize_nearest", lambda model, runtime, items: nearest[runtime]
    )
    made = lower(
        trained.network,
        trained.spec,
        runtime=runtime,
        precision="int8",
        calibration=trained.train,
    )
    assert list(made.contents.values()) == list(nearest[runtime].values())


def test_every_choice_becomes_a_program_in_order(programs):
    assert [(program.runtime, program.precision) for program in programs] == list(TARGETS["cpu"])
    assert [program.name for program in programs] == [
        "net-onnxruntime-fp32",
        "net-onnxruntime-int8",
        "net-openvino-fp32",
        "net-openvino-int8",
    ]


def test_files_are_named_by_their_program_and_the_first_is_the_one_to_open(programs):
    names = [list(program.contents) for program in programs]
    assert names[1] == ["net-onnxruntime-int8.onnx"]
    assert names[3] == ["net-openvino-int8.xml", "net-openvino-int8.bin"]
    assert len({name for group in names for name in group}) == 6


def test_every_program_computes_what_the_network_computes(trained, programs, run_files):
    reference = trained.logits(trained.test)
    accuracy = (reference.argmax(1) == trained.labels).mean()
    for program in programs:
        logits = run_files(program.runtime, program.contents, trained.test)
        check(reference, logits, program.precision)
        assert logits.dtype == np.float32
        assert abs((logits.argmax(1) == trained.labels).mean() - accuracy) < 0.02


def test_a_program_run_again_stays_within_its_tolerance(trained, programs, run_files):
    for program in programs:
        once, again = (
            run_files(program.runtime, program.contents, trained.test[:size]) for size in (64, 32)
        )
        assert np.abs(once[:32] - again).max() <= tolerance(once, program.precision)


def test_int8_is_less_than_half_of_fp32(programs):
    sizes = {p.name: sum(len(content) for content in p.contents.values()) for p in programs}
    assert sizes["net-onnxruntime-int8"] < 0.5 * sizes["net-onnxruntime-fp32"]
    assert sizes["net-openvino-int8"] < sizes["net-openvino-fp32"]


def test_inputs_and_outputs_are_described(trained, programs):
    for program in programs:
        assert program.input == trained.spec
        assert (program.output.name, program.output.shape) == ("logits", (None, 10))


def test_progress_goes_from_none_to_all(programs, steps):
    done = [step.done for step in steps]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, steps[-1].total)
    assert {step.stage for step in steps} == {"lowering"}


def test_one_program_has_the_name_it_was_given(trained):
    kind = {"runtime": "onnxruntime", "precision": "int8"}
    program = lower(trained.network, trained.spec, **kind, calibration=trained.train, name="a")
    assert (program.name, list(program.contents)) == ("a", ["a.onnx"])


def test_int8_without_calibration_is_refused(trained):
    with pytest.raises(TargetError, match="needs calibration items"):
        lower(trained.network, trained.spec, runtime="openvino", precision="int8")


def test_an_unknown_choice_is_refused(trained):
    with pytest.raises(TargetError, match="nothing lowers to"):
        lower_all(trained.network, trained.spec, [("abacus", "fp32")])


@pytest.mark.parametrize("axes", [(1, 2, 3), (1,)])
def test_what_gives_no_logits_is_refused(trained, axes):
    class Mean(nn.Module):
        def forward(self, pixels):
            return torch.mean(pixels.float(), axes)

    with pytest.raises(TargetError, match="not logits"):
        lower(Mean().eval(), trained.spec, runtime="onnxruntime", precision="fp32")


def test_a_network_trained_in_8_bits_becomes_a_program_for_each_runtime(trained, run_files):
    network = quantization_aware(trained.network, trained.spec, trained.train)
    told = []
    runtimes = ("openvino", "onnxruntime")
    programs = lower_trained(network, trained.spec, runtimes, told.append, "net")
    assert [list(program.contents) for program in programs] == [
        ["net-openvino-int8-trained.xml", "net-openvino-int8-trained.bin"],
        ["net-onnxruntime-int8-trained.onnx"],
    ]
    with torch.no_grad():
        reference = network(torch.from_numpy(trained.test)).numpy()
    for program, runtime in zip(programs, runtimes, strict=True):
        assert (program.runtime, program.precision, program.method) == (runtime, "int8", "trained")
        assert program.output.shape == (None, 10)
        assert is_faithful(reference, run_files(runtime, program.contents, trained.test))
    assert (told[0].done, told[-1].done, told[-1].total) == (0, 2, 2)


def test_a_guarded_program_says_what_stayed_in_float_and_there_may_be_none(trained):
    reference = trained.logits(trained.test)
    guard = Guard(
        inputs=trained.test, excess=lambda outputs: np.abs(outputs - reference).max() - 0.5
    )
    program = lower_guarded(trained.network, trained.spec, trained.train, guard, "net")
    assert list(program.contents) == ["net-onnxruntime-int8-guarded.onnx"]
    assert (program.precision, program.method) == ("int8", "guarded")
    assert all(layer.startswith("layer ") for layer in program.in_float)
    never = Guard(inputs=trained.test, excess=lambda outputs: 1.0)
    assert lower_guarded(trained.network, trained.spec, trained.train, never) is None


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_network_that_is_exported_already_is_lowered_without_calibration(
    trained, exported, run_files, precision
):
    program = lower_exported(exported, trained.spec, ("openvino", precision), name="net")
    assert program.name == f"net-openvino-{precision}"
    assert program.precision == precision
    logits = run_files("openvino", program.contents, trained.test)
    assert check(trained.logits(trained.test), logits, precision).flips < 8


def test_beside_others_litert_may_lack_a_network(trained, monkeypatch):
    def refuse(*_):
        raise TargetError("there is no such operation", "replace it")

    monkeypatch.setattr("diptych.targets.litert.convert_rounded", refuse)
    choices, told = [("onnxruntime", "fp32"), ("litert", "int8")], []
    programs = lower_all(trained.network, trained.spec, choices, trained.train, told.append)
    assert [program.runtime for program in programs] == ["onnxruntime"]
    assert "model-litert-int8 is left out: there is no such operation" in [t.note for t in told]
    with pytest.raises(TargetError, match="there is no such operation"):
        lower_all(trained.network, trained.spec, choices[1:], trained.train)


@pytest.mark.parametrize("downsample", [2, 3])
def test_programs_of_a_network_that_sees_less_of_the_resolution_compute_the_same(
    downsample: int, run_files
) -> None:
    spec = ImageSpec(height=25, width=29, channels=3)
    config = ResidualNetConfig(stem=8, widths=(16,), blocks=(1,), downsample=downsample)
    torch.manual_seed(0)
    network = ResidualNet(config, spec, 5).eval()
    coarse = np.random.default_rng(0).integers(0, 256, (64, 5, 6, 3), dtype=np.uint8)
    pixels = np.ascontiguousarray(coarse.repeat(5, 1).repeat(5, 2)[:, :, :29])
    network.learn_scaling(torch.from_numpy(pixels))
    with torch.no_grad():
        expected = network(torch.from_numpy(pixels)).numpy()
    lowered = lower_all(network, spec.tensor(), TARGETS["cpu"], calibration=pixels, name="half")
    assert {program.precision for program in lowered} == {"fp32", "int8"}
    for program in lowered:
        answers = run_files(program.runtime, program.contents, pixels)
        largest = 0.001 if program.precision == "fp32" else 0.05
        assert np.abs(answers - expected).max() <= largest * np.abs(expected).max()
