"""NNCF, for OpenVINO: `quantize` as it is, and `quantize_with_accuracy_control`."""

from pathlib import Path

import nncf
import numpy as np
import openvino

from compression.peer_items import MOST_DROP, Clock, Items


def nncf_quantize(items: Items, out: Path, clock: Clock) -> None:
    ones = [items.calibration[i : i + 1] for i in range(len(items.calibration))]
    with clock.running():
        model = openvino.Core().read_model(items.model)
        model = nncf.quantize(model, nncf.Dataset(ones), subset_size=len(ones))
        openvino.save_model(model, out / "model.xml")


def nncf_accuracy(items: Items, out: Path, clock: Clock) -> None:
    def right(model, data) -> float:
        return float(np.mean([model(item)[0].argmax() == label for item, label in data]))

    ones = [items.calibration[i : i + 1] for i in range(len(items.calibration))]
    known = [(items.validation[i : i + 1], label) for i, label in enumerate(items.labels)]
    with clock.running():
        model = openvino.Core().read_model(items.model)
        model = nncf.quantize_with_accuracy_control(
            model,
            nncf.Dataset(ones),
            nncf.Dataset(known, lambda pair: pair[0]),
            right,
            max_drop=MOST_DROP,
            subset_size=len(ones),
        )
        openvino.save_model(model, out / "model.xml")
