"""Bundles made to do harm, or harmed: none is accepted, none breaks the reader."""

import json
import os
import pickle
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from diptych.core.errors import BundleError
from diptych.core.files import sha256_of_bytes
from diptych.inference.bundle import load
from diptych.inference.manifest import seal
from diptych.inference.npz import write_arrays

MAX_SECONDS = 1.0
MAX_MEMORY_BYTES = 200_000_000


class Bomb:
    """An object that leaves a trace where it is unpickled."""

    def __reduce__(self):
        return (os.system, ("touch pwned",))


PICKLE = pickle.dumps(Bomb())


def edit(folder: Path, change) -> None:
    """Change the manifest as a tree."""
    tree = json.loads((folder / "bundle.json").read_text())
    del tree["sha256"]
    change(tree)
    (folder / "bundle.json").write_bytes(seal(json.dumps(tree, indent=1).encode()))


def relist(folder: Path, name: str, data: bytes) -> None:
    """Put other content into a file and make the manifest vouch for it."""
    (folder / name).write_bytes(data)

    def vouch(tree):
        for owner in (tree, *tree["programs"]):
            for record in owner["files"]:
                if record["path"] == name:
                    record.update(sha256=sha256_of_bytes(data), size_bytes=len(data))

    edit(folder, vouch)


def rename(folder: Path, path: str) -> None:
    edit(folder, lambda tree: tree["files"][0].update(path=path))


def pickled_manifest(folder):
    (folder / "bundle.json").write_bytes(PICKLE)


def pickled_examples(folder):
    relist(folder, "golden.npz", PICKLE)


def pickled_program(folder):
    relist(folder, "model.onnx", PICKLE)


def pickled_array(folder):
    path = folder / "golden.npz"
    np.savez(path, inputs=np.array([Bomb()], dtype=object))
    relist(folder, "golden.npz", path.read_bytes())


def polyglot_examples(folder):
    relist(folder, "golden.npz", b"#!/bin/sh\ntouch pwned\n" + (folder / "golden.npz").read_bytes())


def polyglot_program(folder):
    archive = folder / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("data.pkl", PICKLE)
    relist(folder, "model.onnx", archive.read_bytes())


def bundle_that_is_a_zip(folder):
    parts = list(folder.iterdir())
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as file:
        for part in parts:
            file.write(part, part.name)
            part.unlink()
    folder.rmdir()
    folder.with_suffix(".zip").rename(folder)


def path_to_the_parent(folder):
    (folder.parent / "golden.npz").write_bytes((folder / "golden.npz").read_bytes())
    rename(folder, "../golden.npz")


def path_through_a_folder_and_out(folder):
    (folder / "a").mkdir()
    (folder.parent / "golden.npz").write_bytes((folder / "golden.npz").read_bytes())
    rename(folder, "a/../../golden.npz")


def absolute_path(folder):
    rename(folder, str(folder / "golden.npz"))


def path_with_a_drive(folder):
    rename(folder, "C:\\golden.npz")


def path_with_a_zero_byte(folder):
    rename(folder, "golden.npz\0.txt")


def path_too_long(folder):
    rename(folder, "a" * 100_000)


def surrogate_path(folder):
    rename(folder, "\udcff.npz")


def linked_file(folder):
    moved = folder.parent / "elsewhere.npz"
    (folder / "golden.npz").rename(moved)
    (folder / "golden.npz").symlink_to(moved)


def linked_folder(folder):
    outside = folder.parent / "outside"
    outside.mkdir()
    (folder / "golden.npz").rename(outside / "golden.npz")
    (folder / "inside").symlink_to(outside)
    rename(folder, "inside/golden.npz")


def linked_manifest(folder):
    (folder / "bundle.json").rename(folder.parent / "bundle.json")
    (folder / "bundle.json").symlink_to(folder.parent / "bundle.json")


def endless_link(folder):
    (folder / "golden.npz").unlink()
    (folder / "golden.npz").symlink_to("/dev/zero")


def hard_link(folder):
    os.link(folder / "golden.npz", folder.parent / "second-name.npz")


def hard_linked_manifest(folder):
    os.link(folder / "bundle.json", folder.parent / "second-name.json")


def pipe(folder):
    (folder / "golden.npz").unlink()
    os.mkfifo(folder / "golden.npz")


def folder_in_place_of_a_file(folder):
    (folder / "golden.npz").unlink()
    (folder / "golden.npz").mkdir()


def oversized_manifest(folder):
    with (folder / "bundle.json").open("r+b") as file:
        file.truncate(40 << 30)


def oversized_file(folder):
    with (folder / "golden.npz").open("r+b") as file:
        file.truncate(40 << 30)
    edit(folder, lambda tree: tree["files"][0].update(size_bytes=40 << 30))


def too_many_files(folder):
    edit(
        folder,
        lambda tree: tree["files"].extend(
            {"path": f"{n}", "sha256": "0" * 64, "size_bytes": 0} for n in range(30_000)
        ),
    )


def negative_size(folder):
    edit(folder, lambda tree: tree["files"][0].update(size_bytes=-(40 << 30)))


def oversized_array_header(folder):
    header = b"\x93NUMPY\x01\x00\xff\xff" + b"{'descr': " + b"(" * 65_525
    _examples_of_members(folder, {"inputs.npy": header})


def absurd_array_shape(folder):
    shape = b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999999,), }\n"
    header = b"\x93NUMPY\x01\x00" + len(shape).to_bytes(2, "little") + shape
    _examples_of_members(folder, {"inputs.npy": header})


def unpacking_bomb(folder):
    _examples_of_members(folder, {f"{n}.npy": bytes(50_000_000) for n in range(4)})


def many_members(folder):
    relist(folder, "golden.npz", b"PK\x03\x04" + b"PK\x01\x02".ljust(46, b"\0") * 200_000)


def _examples_of_members(folder, members):
    with zipfile.ZipFile(folder / "golden.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    relist(folder, "golden.npz", (folder / "golden.npz").read_bytes())


def absurd_input_shape(folder):
    edit(folder, lambda tree: tree["input"].update(height=1 << 40))


def absurd_program_shape(folder):
    edit(folder, lambda tree: tree["programs"][0]["input"].update(shape=[None, 8, 8, 1 << 50]))


def endless_dimensions(folder):
    edit(folder, lambda tree: tree["programs"][0]["output"].update(shape=[None] * 100_000))


def absurd_tensor_in_the_program(folder):
    onnx = pytest.importorskip("onnx")
    model = onnx.ModelProto.FromString((folder / "model.onnx").read_bytes())
    model.graph.initializer[2].dims[:] = [1 << 40, 1 << 20]
    relist(folder, "model.onnx", model.SerializeToString())


def absurd_constant_in_the_program(folder):
    onnx = pytest.importorskip("onnx")
    model = onnx.ModelProto.FromString((folder / "model.onnx").read_bytes())
    make = onnx.helper
    shape = make.make_tensor("shape", onnx.TensorProto.INT64, [2], [1 << 30, 1 << 20])
    model.graph.initializer.append(shape)
    model.graph.node.insert(0, make.make_node("ConstantOfShape", ["shape"], ["huge"]))
    model.graph.node.append(make.make_node("Add", ["logits", "huge"], ["sum"]))
    model.graph.output[0].name = "sum"
    relist(folder, "model.onnx", model.SerializeToString())


def _external(folder, location):
    onnx = pytest.importorskip("onnx")
    model = onnx.ModelProto.FromString((folder / "model.onnx").read_bytes())
    tensor = model.graph.initializer[2]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    relist(folder, "model.onnx", model.SerializeToString())


def tensor_outside_the_folder(folder):
    (folder.parent / "secret").write_bytes(bytes(36))
    _external(folder, "../secret")


def tensor_at_an_absolute_path(folder):
    _external(folder, "/etc/passwd")


def tensor_in_an_unlisted_file(folder):
    (folder / "weights.bin").write_bytes(bytes(36))
    _external(folder, "weights.bin")


def changed_number(folder):
    text = (folder / "bundle.json").read_bytes()
    (folder / "bundle.json").write_bytes(text.replace(b"0.9", b"0.8", 1))


def changed_byte(folder):
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.onnx").write_bytes(data)


def missing_file(folder):
    (folder / "model.bin").unlink()


def missing_manifest(folder):
    (folder / "bundle.json").unlink()


def truncated_manifest(folder):
    text = (folder / "bundle.json").read_bytes()
    (folder / "bundle.json").write_bytes(text[: len(text) // 2])


def newer_format(folder):
    edit(folder, lambda tree: tree.update(format_version=99, novelty={"a": 1}))


def deep_nesting(folder):
    edit(folder, lambda tree: tree["provenance"]["recipe"].update(x="deep"))
    text = (folder / "bundle.json").read_bytes()
    (folder / "bundle.json").write_bytes(text.replace(b'"deep"', b"[" * 40_000 + b"]" * 40_000))


def many_small_objects(folder):
    edit(folder, lambda tree: tree["provenance"]["recipe"].update(x=[{}] * 1_000_000))


def no_examples(folder):
    edit(folder, lambda tree: tree["files"].clear())


def examples_of_another_model(folder):
    arrays = {"inputs": np.zeros((1, 8, 8, 3), np.uint8)}
    for runtime in ("onnxruntime", "openvino"):
        arrays[f"fp32-{runtime}"] = np.ones((1, 3), np.float32)
    relist(folder, "golden.npz", write_arrays(arrays))


CORPUS = [
    value
    for name, value in list(globals().items())
    if callable(value)
    and getattr(value, "__module__", "") == __name__
    and not name.startswith("_")
    and name not in {"edit", "relist", "rename", "Bomb"}
]


def test_the_corpus_is_whole():
    assert len(CORPUS) >= 45


@pytest.mark.parametrize("spoil", CORPUS, ids=lambda spoil: spoil.__name__)
def test_a_hostile_bundle_is_refused_in_one_line_at_once(tiny_bundle, spoil, monkeypatch):
    monkeypatch.chdir(tiny_bundle.parent)
    load(tiny_bundle).close()
    spoil(tiny_bundle)
    start = time.process_time()
    with pytest.raises(BundleError) as seen:
        load(tiny_bundle)
    assert time.process_time() - start < MAX_SECONDS
    assert "\n" not in seen.value.message
    assert not Path("pwned").exists()


WATCHED = """
import json, sys, time
from pathlib import Path
from diptych.core.errors import BundleError
from diptych.inference.bundle import load
from diptych.measure.memory import peak_rss_bytes
start = time.perf_counter()
try:
    load(Path(sys.argv[1]))
    refused = False
except BundleError:
    refused = True
print(json.dumps([refused, time.perf_counter() - start, peak_rss_bytes()]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("spoil", CORPUS, ids=lambda spoil: spoil.__name__)
def test_a_new_process_refuses_it_within_a_second_and_200_mb(tiny_bundle, spoil):
    spoil(tiny_bundle)
    run = subprocess.run(
        [sys.executable, "-c", WATCHED, str(tiny_bundle)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    refused, seconds, memory_bytes = json.loads(run.stdout)
    assert refused
    assert seconds < MAX_SECONDS
    assert memory_bytes < MAX_MEMORY_BYTES
