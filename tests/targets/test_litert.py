"""Networks lowered to LiteRT; most need the converter, and say so where it is absent."""

import pytest
import torch
from torch import Tensor, nn

from diptych.compression.quantize import quantization_aware
from diptych.core.errors import MissingExtraError, TargetError
from diptych.core.extras import installed
from diptych.targets import CONVERTERS, TARGETS, lacking, litert
from diptych.targets.adopted import AdoptedNetwork
from diptych.targets.litert import Converted, convert, convert_rounded, kinds_in_float
from diptych.targets.lower import lower, lower_all, lower_trained
from diptych.targets.parity import check, is_faithful

WANTED, _ = CONVERTERS["litert"]
converts = pytest.mark.skipif(not installed(WANTED), reason="the extra edge-export is absent")


class Inner(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.erfinv(x * 0.1)


class Shuffled(nn.Module):
    """Bits, an order and an operation that LiteRT lacks, or none of them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.inner, self.head = kind, Inner(), nn.Linear(64, 10)

    def forward(self, pixels: Tensor) -> Tensor | dict[str, Tensor]:
        x = pixels.flatten(1)
        if self.kind == "bits":
            x = x.int() & 3
        elif self.kind == "order":
            x = x.float().sort(1)[0]
        elif self.kind == "inner":
            x = self.inner(x.float() / 255)
        x = self.head(x.float())
        return {"a": x, "b": -x} if self.kind == "several" else x.flatten() if not self.kind else x


@pytest.fixture(scope="module")
def programs(trained):
    if not installed(WANTED):
        pytest.skip("the extra edge-export is absent")
    return lower_all(trained.network, trained.spec, TARGETS["edge"], trained.train, name="net")


def test_without_the_converter_it_is_said_what_to_install(trained, monkeypatch):
    absent = ("no_such_library", "edge-export")
    monkeypatch.setitem(CONVERTERS, "litert", absent)
    monkeypatch.setattr(litert, "LIBRARY", absent[0])
    assert lacking("litert") == absent
    assert lacking("openvino") is None
    with pytest.raises(MissingExtraError, match="no_such_library") as told:
        convert(trained.network, trained.spec)
    assert told.value.hint == "pip install 'diptych[edge-export]'"


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_an_onnx_file_is_refused(trained, exported, precision):
    network, told = AdoptedNetwork(exported), []
    with pytest.raises(TargetError, match="an ONNX file cannot be lowered to LiteRT"):
        lower(network, trained.spec, runtime="litert", precision=precision)
    choices = [("onnxruntime", "fp32"), ("litert", precision)]
    programs = lower_all(network, trained.spec, choices, trained.train, told.append)
    assert [program.runtime for program in programs] == ["onnxruntime"]
    assert any("is left out: an ONNX file cannot" in step.note for step in told)


@pytest.mark.slow
def test_every_program_computes_what_the_network_computes(trained, programs, run_files):
    reference = trained.logits(trained.test)
    accuracy = (reference.argmax(1) == trained.labels).mean()
    assert [p.name for p in programs] == ["net-litert-fp32", "net-litert-int8"]
    for program in programs:
        logits = run_files("litert", program.contents, trained.test)
        check(reference, logits, program.precision)
        assert abs((logits.argmax(1) == trained.labels).mean() - accuracy) < 0.02
        assert (program.input, program.output.shape) == (trained.spec, (None, 10))


@pytest.mark.slow
def test_in_int8_only_the_scaling_of_pixels_is_in_float(programs):
    sizes = [len(next(iter(program.contents.values()))) for program in programs]
    assert sizes[1] < 0.5 * sizes[0]
    assert [program.in_float for program in programs] == [(), ("MUL", "SUB")]
    assert "CONV_2D" in kinds_in_float(next(iter(programs[0].contents.values())))


@converts
@pytest.mark.slow
def test_weights_in_another_order_in_memory_are_not_mixed_up(trained, run_files):
    alike = [nn.Conv2d(8, 8, 3, padding=1) for _ in range(6)]
    network = nn.Sequential(nn.Conv2d(1, 8, 1), *alike, nn.Flatten(), nn.Linear(512, 10))

    class Ordered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network.to(memory_format=torch.channels_last)

        def forward(self, pixels: Tensor) -> Tensor:
            return self.network(pixels.permute(0, 3, 1, 2).float() / 255)

    ordered = Ordered().eval()
    assert not any(layer.weight.is_contiguous() for layer in alike)
    with torch.no_grad():
        reference = ordered(torch.from_numpy(trained.test[:8])).numpy()
    content = convert(ordered, trained.spec).content
    check(reference, run_files("litert", {"a.tflite": content}, trained.test[:8]), "fp32")


@converts
@pytest.mark.slow
def test_a_network_trained_in_8_bits_keeps_its_scales(trained, run_files):
    network = quantization_aware(trained.network, trained.spec, trained.train)
    (program,) = lower_trained(
        network, trained.spec, ["litert"], name="net", calibration=trained.train
    )
    assert (program.name, program.method) == ("net-litert-int8-trained", "trained")
    with torch.no_grad():
        reference = network(torch.from_numpy(trained.test)).numpy()
    assert is_faithful(reference, run_files("litert", program.contents, trained.test))


@converts
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("bits", "operation 'BitwiseAnd' in the forward of Shuffled cannot be lowered to LiteRT"),
        ("order", "operation 'STABLEHLO_SORT' in the forward of Shuffled cannot be"),
        ("inner", r"operation 'erfinv' in layer 'inner' \(Inner\) cannot be lowered to LiteRT"),
        ("several", "must have one input and one output"),
        ("", "not logits"),
    ],
)
def test_what_litert_lacks_is_named_with_its_layer(trained, kind, told):
    with pytest.raises(TargetError, match=told) as caught:
        convert(Shuffled(kind).eval(), trained.spec)
    assert "\n" not in caught.value.message


@converts
def test_what_computes_something_else_in_int8_is_refused(trained, monkeypatch):
    other = convert(Shuffled("plain").eval(), trained.spec)
    network = quantization_aware(trained.network, trained.spec, trained.train)
    monkeypatch.setattr(litert, "convert", lambda network, spec: Converted(other.content, 10))
    with pytest.raises(TargetError, match="computes something else in int8"):
        convert_rounded(network, trained.spec, trained.train)


def test_int8_without_calibration_is_refused(trained):
    with pytest.raises(TargetError, match="needs calibration items"):
        lower_all(trained.network, trained.spec, [("litert", "int8")])
    with pytest.raises(TargetError, match="15 calibration items"):
        lower_all(trained.network, trained.spec, [("litert", "int8")], trained.train[:15])


@converts
def test_nothing_is_printed(trained, capfd):
    convert(trained.network, trained.spec)
    assert capfd.readouterr() == ("", "")
