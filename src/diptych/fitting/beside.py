"""A finished bundle's network as a file beside the bundle, for what no bundle holds.

Machine code of torch is run by whoever opens it; a program of ExecuTorch is for apps, and nothing
of Diptych opens it again.

Shapes: M calibration items.
"""

from pathlib import Path

import numpy as np

from diptych.core.errors import ConfigError
from diptych.core.files import write_atomic
from diptych.core.values import Dataset, Precision
from diptych.fitting.calibration import calibration_items
from diptych.fitting.export import Finished, Lowered, named, open_finished, open_made, told_of
from diptych.fitting.settings import SETTINGS, Settings
from diptych.targets import MOBILE, NATIVE
from diptych.targets.mobile import compile_mobile
from diptych.targets.native import compile_native

SUFFIXES = {NATIVE: ".pt2", MOBILE: ".pte"}
CALIBRATION_ITEMS = 512


def write_beside(
    bundle: Path,
    target: str,
    data: str | Path | Dataset | None = None,
    out: Path | None = None,
    settings: Settings = SETTINGS,
) -> tuple[Path, Lowered]:
    """Lower a bundle's network to a file beside the bundle.

    Args:
        bundle: The bundle's folder.
        target: ``torch`` or ``mobile``.
        data: For ``mobile``, what the bundle was made of, to calibrate int8; without it the
            program is in fp32.
        out: The file, by default ``NAME.pt2`` or ``NAME.pte`` beside the bundle.
        settings: The user's own task, how to read the data, progress.

    Returns:
        Where the file is, and how it compares.

    Raises:
        ConfigError: If there is data where none is needed, or it is another than the bundle's.
    """
    if target == NATIVE and data is not None:
        raise ConfigError(f"{target} needs no data", "leave --data out")
    finished = open_finished(bundle, settings)
    destination = out or bundle.resolve().with_suffix(SUFFIXES[target])
    spec, network, inputs = finished.manifest.input.tensor(), finished.network, finished.inputs
    precision: Precision = "fp32" if data is None else "int8"
    if target == NATIVE:
        content, outputs = compile_native(network, spec, inputs)
    else:
        items = None if data is None else _calibration(bundle, finished, data, settings)
        content, outputs = compile_mobile(network, spec, inputs, items)
    name = finished.manifest.model.name
    told = told_of(finished, name, (target, precision), len(content), outputs)
    write_atomic(destination, content)
    return destination, told


def _calibration(
    bundle: Path, finished: Finished, data: str | Path | Dataset, settings: Settings
) -> np.ndarray:
    """Return training items (M, ...)."""
    out = named(bundle, MOBILE)  # where a bundle would be; none is written
    dataset = open_made(bundle, finished.manifest, data, out, settings).dataset
    seed = finished.manifest.provenance.seed
    return calibration_items(dataset, CALIBRATION_ITEMS, seed, settings.report)
