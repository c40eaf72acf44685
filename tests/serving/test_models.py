"""Bundles to serve: opened, named, warm."""

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from diptych.core.errors import BundleError, ConfigError, DiptychError
from diptych.core.specs import OwnSpec
from diptych.inference import golden, store
from diptych.serving.models import open_models, split_name, warm_up


class CountingBundle:
    """Remembers what it was run on."""

    def __init__(self, program) -> None:
        self.program = program
        self.shapes: list[tuple[int, ...]] = []

    def run(self, batch: np.ndarray) -> None:
        assert batch.dtype == np.uint8
        self.shapes.append(batch.shape)


def test_a_bundle_is_served_under_its_name_or_a_given_one(tiny):
    with open_models([str(tiny), f"again={tiny}"]) as models:
        assert list(models) == ["colors", "again"]


def test_two_of_one_name_are_refused_with_the_way_out(tiny):
    message = "two bundles are named 'colors'"
    with pytest.raises(ConfigError, match=message) as caught, open_models([str(tiny)] * 2):
        pass
    assert caught.value.hint == f"give one another name: colors-2={tiny}"


def test_a_folder_that_is_no_bundle_is_one_line(tmp_path):
    for source in (str(tmp_path), str(tmp_path / "absent")):
        with pytest.raises(DiptychError) as caught, open_models([source]):
            pass
        assert isinstance(caught.value, BundleError | OSError)


def test_a_bundle_whose_own_task_is_not_installed_is_refused(tiny, tmp_path):
    manifest, path = store.read(tiny)
    spec = OwnSpec(task="absent", dtype="uint8", shape=(4, 6, 3))
    model = (path / "model.onnx").read_bytes().replace(b"pixels", b"values")
    files = (store.record("model.onnx", model),)
    program = replace(manifest.programs[0], input=spec.tensor(), files=files)
    examples = (path / golden.FILE_NAME).read_bytes()
    folder = tmp_path / "own.dip"
    store.write(
        folder,
        replace(manifest, input=spec, programs=(program,)),
        {"model.onnx": model, golden.FILE_NAME: examples},
    )
    with pytest.raises(ConfigError, match="no task 'absent' installed"), open_models([str(folder)]):
        pass


def test_an_existing_folder_with_an_equals_sign_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a=b").mkdir()
    assert split_name("a=b") == ("", Path("a=b"))
    assert split_name("a=c") == ("a", Path("c"))
    assert split_name("./a=c") == ("", Path("./a=c"))


def test_the_warm_up_runs_one_item_and_a_part_of_a_batch(bundle):
    counting = CountingBundle(bundle.program)
    warm_up(counting)
    assert {shape[0] for shape in counting.shapes} == {1, 16}
    assert {shape[1:] for shape in counting.shapes} == {(4, 6, 3)}
