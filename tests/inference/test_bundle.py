"""Opening a bundle and predicting with it."""

import logging
from io import BytesIO
from threading import Thread

import numpy as np
import pytest
from msgspec import structs
from PIL import Image

from diptych.core.errors import BundleError, ConfigError, DataError, MissingExtraError
from diptych.inference import golden, store
from diptych.inference.bundle import load
from diptych.tasks.prediction import Prediction

RUNTIMES = ("onnxruntime", "openvino")
LABELS = ("ant", "bee", "cat")


def png(pixels: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("count", [1, 2, 33])
def test_run_gives_what_numpy_computes(tiny, tiny_bundle, runtime, count):
    pixels = np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    before = pixels.copy()
    with load(tiny_bundle, runtime=runtime) as bundle:
        found = [bundle.run(pixels) for _ in range(3)]
    np.testing.assert_array_equal(pixels, before)
    for logits in found:
        np.testing.assert_allclose(logits, tiny.logits(pixels), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_threads_that_share_a_bundle_get_their_own_answers(tiny, tiny_bundle, runtime):
    wrong = []

    def ask(seed):
        rng = np.random.default_rng(seed)
        for count in (1, 1, 3, 1):
            pixels = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
            for _ in range(20):
                error = np.abs(bundle.run(pixels) - tiny.logits(pixels)).max()
                wrong.extend([error] if error > 1e-3 else [])

    with load(tiny_bundle, runtime=runtime) as bundle:
        threads = [Thread(target=ask, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_every_form_of_one_picture_gives_the_same_answer(tiny, tiny_bundle, tmp_path):
    pixels = tiny.inputs[0]
    path = tmp_path / "a.png"
    path.write_bytes(png(pixels))
    with load(tiny_bundle) as bundle:
        forms = [pixels, pixels / 255, path, str(path), path.read_bytes()]
        answers = [bundle.predict(form) for form in forms]
    assert len({answer.label for answer in answers}) == 1
    for answer in answers:
        assert isinstance(answer, Prediction)
        assert answer.scores == pytest.approx(answers[0].scores, abs=1e-6)
        assert sum(answer.scores.values()) == pytest.approx(1)
        assert answer.score == max(answer.scores.values()) == answer.scores[answer.label]
    assert [answer.input for answer in answers] == ["array", "array", str(path), str(path), "bytes"]


@pytest.mark.parametrize(
    ("word", "reason"), [("x" * 5000, "file name too long"), ("a\0b", "null")], ids=["long", "zero"]
)
def test_a_word_that_can_be_no_path_is_one_clear_line(tiny_bundle, word, reason):
    with load(tiny_bundle) as bundle, pytest.raises(DataError, match=f"cannot be read: .*{reason}"):
        bundle.predict(word)


def test_the_label_is_that_of_the_largest_logit(tiny, tiny_bundle):
    expected = tiny.logits(tiny.inputs).argmax(axis=1)
    with load(tiny_bundle) as bundle:
        assert [bundle.labels.index(row.label) for row in bundle.predict(tiny.inputs)] == list(
            expected
        )


def test_a_list_a_batch_and_a_folder_give_lists_in_order(tiny, tiny_bundle, tmp_path):
    for index, pixels in enumerate(tiny.inputs):
        (tmp_path / "pictures" / "deep").mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / "deep" / f"{index}.png").write_bytes(png(pixels))
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    with load(tiny_bundle) as bundle:
        alone = [bundle.predict(pixels).scores for pixels in tiny.inputs]
        many = (
            list(tiny.inputs),
            tuple(tiny.inputs),
            tiny.inputs,
            [png(pixels) for pixels in tiny.inputs],
            tmp_path / "pictures",
        )
        for form in many:
            found = [answer.scores for answer in bundle.predict(form)]
            assert len(found) == len(alone)
            for left, right in zip(found, alone, strict=True):
                assert left == pytest.approx(right, abs=1e-6)
        assert bundle.predict([]) == []


def test_a_stream_holds_only_a_chunk_at_a_time(tiny, tiny_bundle):
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield tiny.inputs[0]

    with load(tiny_bundle) as bundle:
        stream = bundle.predict_each(endless())
        for _ in range(40):
            next(stream)
    assert taken <= 64


def test_unreadable_inputs_are_told_and_left_out_only_when_asked(tiny, tiny_bundle):
    items = [tiny.inputs[0], b"no picture", tiny.inputs[1]]
    told = []
    with load(tiny_bundle) as bundle:
        with pytest.raises(DataError, match="not a JPEG"):
            bundle.predict(items)
        answers = list(
            bundle.predict_each(items, lambda name, error: told.append((name, str(error))))
        )
    assert [answer.input for answer in answers] == ["array#0", "array#2"]
    assert [name for name, _ in told] == ["bytes#1"]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, 8, 8, 1), np.uint8),
        np.zeros((1, 9, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
    ],
)
def test_run_refuses_what_is_not_prepared(tiny_bundle, array):
    with load(tiny_bundle) as bundle, pytest.raises(DataError, match="the program takes"):
        bundle.run(array)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_closed_bundle_says_so_and_may_be_closed_again(tiny, tiny_bundle, runtime):
    with load(tiny_bundle, runtime=runtime) as bundle:
        bundle.close()
        with pytest.raises(BundleError, match="was closed"):
            bundle.predict(tiny.inputs[0])


def test_the_first_program_is_opened_and_its_threads_are_kept_within_the_machine(
    tiny, tiny_bundle, tmp_path
):
    first = structs.replace(tiny.manifest.programs[0], threads=1000)
    manifest = structs.replace(tiny.manifest, programs=(first, tiny.manifest.programs[1]))
    store.write(tmp_path / "greedy.dip", manifest, tiny.contents)
    with load(tmp_path / "greedy.dip") as bundle:
        assert bundle.program.runtime == "onnxruntime"
        assert bundle.program.threads < 1000
    with load(tiny_bundle, runtime="openvino", threads=2) as bundle:
        assert (bundle.program.runtime, bundle.program.threads) == ("openvino", 2)


def test_wrong_arguments_are_refused_with_a_hint(tiny_bundle):
    with pytest.raises(ConfigError, match="unknown runtime 'openvin'") as seen:
        load(tiny_bundle, runtime="openvin")
    assert "openvino" in seen.value.hint
    with pytest.raises(ConfigError, match="golden is 'chek'"):
        load(tiny_bundle, golden="chek")
    with pytest.raises(ConfigError, match="threads is 0"):
        load(tiny_bundle, threads=0)


def test_a_runtime_that_the_bundle_lacks_is_named(tiny, tmp_path):
    manifest = structs.replace(tiny.manifest, programs=tiny.manifest.programs[:1])
    store.write(tmp_path / "one.dip", manifest, tiny.contents)
    with pytest.raises(BundleError, match="no program for 'openvino'"):
        load(tmp_path / "one.dip", runtime="openvino")


def with_programs(tiny, programs, folder, shift=0.0):
    """Write a bundle with other programs and golden logits that are off by `shift`."""
    logits = (tiny.logits(tiny.inputs) + shift).astype(np.float32)
    examples = golden.build(tiny.inputs, {program.name: logits for program in programs})
    manifest = structs.replace(
        tiny.manifest, programs=tuple(programs), files=(store.record("golden.npz", examples),)
    )
    store.write(folder, manifest, {**tiny.contents, "golden.npz": examples})
    return folder


def test_the_next_program_is_used_with_a_warning_where_the_first_cannot_run(tiny, tmp_path, caplog):
    known = tiny.manifest.programs[0]
    stranger = structs.replace(known, name="stranger", runtime="not_a_runtime")
    with load(with_programs(tiny, [stranger, known], tmp_path / "two.dip")) as bundle:
        assert bundle.program.name == known.name
    assert "not_a_runtime is not installed" in caplog.text
    with pytest.raises(MissingExtraError, match="not_a_runtime") as seen:
        load(with_programs(tiny, [stranger], tmp_path / "one.dip"))
    assert "pip install" in seen.value.hint


def test_a_machine_that_disagrees_is_refused_warned_of_or_not_looked_at(tiny, tmp_path, caplog):
    folder = with_programs(tiny, tiny.manifest.programs[:1], tmp_path / "off.dip", shift=0.5)
    with pytest.raises(BundleError, match=r"differ by 0\.5 .*0 of 4 golden") as seen:
        load(folder)
    assert "diptych export BUNDLE" in seen.value.hint
    with caplog.at_level(logging.WARNING):
        load(folder, golden="skip").close()
        assert not caplog.records
        load(folder, golden="warn").close()
    assert "differ by 0.5" in caplog.text


def test_the_leaderboard_begins_with_the_chosen_candidate(tiny, tiny_bundle):
    with load(tiny_bundle) as bundle:
        rows = bundle.leaderboard()
    assert rows[0].chosen
    assert {row.name for row in rows} == {row.name for row in tiny.manifest.candidates}


def test_the_files_that_preparation_needs_are_read_from_the_bundle(tiny, tmp_path):
    contents = {**tiny.contents, "tokenizer.json": b"{}", "notes.txt": b"not needed"}
    files = tuple(store.record(name, contents[name]) for name in ("tokenizer.json", "notes.txt"))
    manifest = structs.replace(
        tiny.manifest, files=(*tiny.manifest.files, *files), assets=("tokenizer.json",)
    )
    store.write(tmp_path / "a.dip", manifest, contents)
    with load(tmp_path / "a.dip") as bundle:
        assert bundle.assets() == {"tokenizer.json": b"{}"}
    (tmp_path / "a.dip" / "tokenizer.json").write_bytes(b"[]")
    with pytest.raises(BundleError, match=r"tokenizer\.json"):
        load(tmp_path / "a.dip")


def test_an_array_that_is_one_picture_is_one_and_with_one_axis_more_it_is_many(tiny, tiny_bundle):
    with load(tiny_bundle) as bundle:
        assert bundle.predict(tiny.inputs[0]).input == "array"
        assert bundle.predict(tiny.inputs[0, :, :, 0]).input == "array"
        many = bundle.predict(tiny.inputs[:1])
        assert [answer.input for answer in many] == ["array#0"]
        larger = np.zeros((2, 20, 30, 3), np.uint8)
        assert len(bundle.predict(larger)) == 2


@pytest.mark.parametrize(
    ("goal", "labels", "shown"),
    [
        ("classification", 3, lambda row, answer: answer.score == answer.scores[answer.label]),
        ("ordinal", 3, lambda row, answer: answer.label == LABELS[int(row.argmax())]),
        (
            "multi-label",
            3,
            lambda row, answer: answer.labels == tuple(np.array(LABELS)[row >= 0].tolist()),
        ),
    ],
)
def test_an_answer_is_what_the_goal_asks_for(tiny, tmp_path, goal, labels, shown):
    store.write(tmp_path / "a.dip", structs.replace(tiny.manifest, goal=goal), tiny.contents)
    rows = tiny.logits(tiny.inputs)
    with load(tmp_path / "a.dip") as bundle:
        answers = bundle.predict(tiny.inputs)
    assert len(answers) == len(rows)
    assert all(shown(row, answer) for row, answer in zip(rows, answers, strict=True))
    assert all(len(answer.scores) == labels for answer in answers)
