"""The inputs of the worst items: written, read back, and refused where they do not fit."""

import numpy as np
import pytest
from msgspec import structs

from diptych.core.damage import Damage, WorstItem
from diptych.core.errors import BundleError
from diptych.inference import store, worst
from diptych.inference.npz import write_arrays


def with_worst(tiny, data: bytes, items: int = 2):
    item = WorstItem(item="x", index=0, truth=("ant",), reference=("ant",), model=("bee",))
    damage = Damage(goal="classification", reference="t", model="s", items=(item,) * items)
    files = (*tiny.manifest.files, store.record(worst.FILE_NAME, data))
    return structs.replace(tiny.manifest, files=files, damage=damage)


def test_what_a_bundle_keeps_is_read_back(tiny, tmp_path) -> None:
    data = worst.build(tiny.inputs[:2])
    manifest = with_worst(tiny, data)
    store.write(tmp_path / "b.dip", manifest, tiny.contents | {worst.FILE_NAME: data})
    read, folder = store.read(tmp_path / "b.dip")
    assert read == manifest
    np.testing.assert_array_equal(worst.read(folder, read), tiny.inputs[:2])


def test_a_bundle_without_them_has_none(tiny, tiny_bundle) -> None:
    assert worst.read(tiny_bundle, tiny.manifest).shape == (0, 8, 8, 3)


@pytest.mark.parametrize(
    "arrays",
    [
        {"inputs": np.zeros((2, 8, 8, 3), np.float32)},
        {"inputs": np.zeros((2, 8, 8, 1), np.uint8)},
        {"inputs": np.zeros((3, 8, 8, 3), np.uint8)},
        {"others": np.zeros((2, 8, 8, 3), np.uint8)},
    ],
)
def test_what_does_not_fit_the_manifest_is_refused(tiny, tmp_path, arrays) -> None:
    data = write_arrays(arrays)
    (tmp_path / worst.FILE_NAME).write_bytes(data)
    with pytest.raises(BundleError, match="worst items"):
        worst.read(tmp_path, with_worst(tiny, data))
