"""Olive: `auto-opt` of an ONNX file, and a search over static quantization by its own judge.

`olive optimize` is left out: in 8 bits it calibrates with a text that it downloads, nothing else.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
from olive.data.registry import Registry
from olive.workflows import run
from torch import from_numpy
from torch.utils.data import TensorDataset

from compression.peer_items import BATCH, MOST_DROP, Clock, Items, input_name, keep

SEARCH_SHARE = 0.6
"""Of the time: no further try begins after it, and the last one has to end."""


def olive_auto_opt(items: Items, out: Path, clock: Clock) -> None:
    work = out / "work.tmp"
    work.mkdir()
    words = [sys.executable, "-m", "olive", "auto-opt", "--model_name_or_path", str(items.model)]
    words += ["--device", "cpu", "--provider", "CPUExecutionProvider", "--precision", "int8"]
    with clock.running():
        words += ["--output_path", str(work / "found")]
        subprocess.run(words, check=True, stdout=sys.stderr, cwd=work)
    keep(next((work / "found").rglob("*.onnx")), out)


def olive_search(items: Items, out: Path, clock: Clock) -> None:
    name = input_name(items.model)

    class Named(TensorDataset):
        def __getitem__(self, index: int):
            pixels, label = super().__getitem__(index)
            return {name: pixels}, label

    zeros = np.zeros(len(items.calibration), np.int64)
    Registry.register_dataset("calibration")(
        lambda **_: Named(from_numpy(items.calibration), from_numpy(zeros))
    )
    Registry.register_dataset("validation")(
        lambda **_: Named(from_numpy(items.validation), from_numpy(items.labels))
    )
    Registry.register_post_process("label")(lambda outputs, **_: outputs.argmax(-1))
    work = out / "work.tmp"
    with clock.running():
        found = run(olive_plan(items, work))
        best = found.get_best_candidate()
    keep(Path(best.model_path), out)


def olive_plan(items: Items, work: Path) -> dict[str, object]:
    """Return what `olive run` is told: a search over static quantization, accuracy first."""
    batches = {"type": "default_dataloader", "batch_size": BATCH}
    data = [
        {
            "name": split,
            "type": "DataContainer",
            "load_dataset_config": {"type": split},
            "pre_process_data_config": {"type": "skip_pre_process"},
            "dataloader_config": batches,
            "post_process_data_config": {"type": "label"},
        }
        for split in ("calibration", "validation")
    ]
    classes = int(items.labels.max()) + 1
    task = {"task": "multiclass", "num_classes": classes}
    goal = {"type": "max-degradation", "value": MOST_DROP}
    right = {"name": "accuracy_score", "priority": 1, "metric_config": task, "goal": goal}
    latency = {"name": "avg", "priority": 2}
    metrics = [
        {"name": "right", "type": "accuracy", "data_config": "validation", "sub_types": [right]},
        {"name": "time", "type": "latency", "data_config": "validation", "sub_types": [latency]},
    ]
    searched = ("precision", "activation_type", "per_channel", "calibrate_method")
    cpu = {"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}
    return {
        "input_model": {"type": "OnnxModel", "model_path": str(items.model)},
        "systems": {"here": {"type": "LocalSystem", "accelerators": [cpu]}},
        "data_configs": data,
        "evaluators": {"judge": {"type": "OnnxEvaluator", "metrics": metrics}},
        "passes": {
            "quantize": {
                "type": "OnnxStaticQuantization",
                "data_config": "calibration",
                "quant_format": "QDQ",
                "reduce_range": items.cuts_sums,  # 0.13 drops it: prepare_qdq_config
                **dict.fromkeys(searched, "SEARCHABLE_VALUES"),
            }
        },
        "search_strategy": {
            "execution_order": "joint",
            "sampler": "random",
            "max_time": int(SEARCH_SHARE * items.limit_s),
        },
        "evaluator": "judge",
        "host": "here",
        "target": "here",
        "cache_dir": str(work / "cache"),
        "output_dir": str(work / "found"),
    }
