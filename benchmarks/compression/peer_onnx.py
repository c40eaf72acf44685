"""Tools that quantize for ONNX Runtime: its own, Intel Neural Compressor, Optimum.

ONNX Runtime's own is run as it is (activations in int8), and with activations in uint8, which its
kernels on x86-64 are faster with, by two ways to find ranges. Where sums are cut, all are told
`reduce_range`.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import onnx

from compression.peer_items import BATCH, MOST_DROP, Batches, Clock, Items, input_name, keep


def onnxruntime_static(items: Items, out: Path, clock: Clock, **options) -> None:
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    method = getattr(quantization.CalibrationMethod, options.pop("method", "MinMax"))
    prepared = out / "prepared.tmp"
    with clock.running():
        quant_pre_process(str(items.model), str(prepared))
        quantization.quantize_static(
            prepared,
            out / "model.onnx",
            Batches(input_name(items.model), items.calibration),
            per_channel=True,
            reduce_range=items.cuts_sums,
            calibrate_method=method,
            **options,
        )
    prepared.unlink()


def onnxruntime_default(items: Items, out: Path, clock: Clock) -> None:
    onnxruntime_static(items, out, clock)


def onnxruntime_minmax(items: Items, out: Path, clock: Clock) -> None:
    from onnxruntime.quantization import QuantType

    onnxruntime_static(items, out, clock, activation_type=QuantType.QUInt8)


def onnxruntime_entropy(items: Items, out: Path, clock: Clock) -> None:
    from onnxruntime.quantization import QuantType

    onnxruntime_static(items, out, clock, activation_type=QuantType.QUInt8, method="Entropy")


def inc_config(items: Items, **options):
    from onnx_neural_compressor.quantization import QuantFormat, config

    return config.StaticQuantConfig(
        Batches(input_name(items.model), items.calibration),
        quant_format=QuantFormat.QDQ,
        calibration_sampling_size=len(items.calibration),
        execution_provider="CPUExecutionProvider",
        reduce_range=items.cuts_sums,  # as it advises, though 1.0 does not hand it on
        **options,
    )


def inc_static(items: Items, out: Path, clock: Clock) -> None:
    from onnx_neural_compressor.quantization import quantize

    work = out / "work.tmp"
    work.mkdir()
    with clock.running():
        quantize(str(items.model), str(work / "model.onnx"), inc_config(items, per_channel=True))
    onnx.save(onnx.load(work / "model.onnx"), out / "model.onnx")  # weights beside it come into it
    shutil.rmtree(work)


def inc_autotune(items: Items, out: Path, clock: Clock) -> None:
    import onnxruntime
    from onnx_neural_compressor.quantization import QuantFormat, config, tuning

    name = input_name(items.model)

    def right(path: str) -> float:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        starts = range(0, len(items.labels), BATCH)
        parts = [items.validation[start : start + BATCH] for start in starts]
        answers = [session.run(None, {name: part})[0].argmax(1) for part in parts]
        return float(np.mean(np.concatenate(answers) == items.labels))

    configs = config.StaticQuantConfig.get_config_set_for_tuning(
        quant_format=QuantFormat.QDQ,
        calibration_sampling_size=len(items.calibration),
        execution_provider="CPUExecutionProvider",
        reduce_range=items.cuts_sums,
    )
    wanted = tuning.TuningConfig(config_set=configs, tolerable_loss=MOST_DROP)
    with clock.running():
        reader = Batches(name, items.calibration)
        found = tuning.autotune(str(items.model), wanted, right, calibration_data_reader=reader)
        if found is None:
            sys.exit("onnx-neural-compressor found no program that loses so little")
        onnx.save(found, out / "model.onnx")


def optimum_static(items: Items, out: Path, clock: Clock) -> None:
    from onnxruntime.quantization import CalibrationMethod
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig, CalibrationConfig

    name, count = input_name(items.model), len(items.calibration)
    fixed = {"is_static": True, "per_channel": True}
    if items.cuts_sums:
        settings = AutoQuantizationConfig.avx2(**fixed, reduce_range=True)
    else:
        settings = AutoQuantizationConfig.avx512_vnni(**fixed)
    calibration = CalibrationConfig("items", "", "train", count, CalibrationMethod.MinMax)
    work = out / "work.tmp"
    work.mkdir()
    with clock.running():
        quantizer = ORTQuantizer.from_pretrained(items.model.parent, file_name=items.model.name)
        ranges = quantizer.fit(
            [{name: item} for item in items.calibration],
            calibration,
            work / "augmented.onnx",
            settings.operators_to_quantize,
        )
        quantizer.quantize(settings, work, calibration_tensors_range=ranges)
    keep(work / "model_quantized.onnx", out)
