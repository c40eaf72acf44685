import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

import diptych
from diptych.cli.main import VERBS, run
from diptych.core.errors import DataError, StorageError, TrainingError

Said = tuple[int, list[str], list[str]]
Say = Callable[..., Said]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Give the function that runs a command: its code, and the lines of stdout and stderr."""

    def call(*arguments: str) -> Said:
        code = run(list(arguments))
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return call


class OneVerb:
    """A finder that makes the module of one verb, with a command that does what a test wants."""

    def __init__(self, verb: str, command: Callable[..., object]) -> None:
        self.name, self.command = f"diptych.cli.{verb}", command

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name == self.name else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.command = self.command  # type: ignore[attr-defined]


@pytest.fixture
def verb() -> Iterator[Callable[[Callable[..., object]], None]]:
    """Give the function that puts a command in the place of `doctor`."""
    name = "diptych.cli.doctor"
    before = sys.modules.pop(name, None)
    finders: list[OneVerb] = []

    def replace(command: Callable[..., object]) -> None:
        finders.append(OneVerb("doctor", command))
        sys.meta_path.insert(0, finders[-1])  # type: ignore[arg-type]

    yield replace
    for finder in finders:
        sys.meta_path.remove(finder)  # type: ignore[arg-type]
    sys.modules.pop(name, None)
    if before is not None:
        sys.modules[name] = before


def raises(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


def test_the_version_is_printed_alone(say: Say) -> None:
    assert say("--version") == (0, [f"diptych {diptych.__version__}"], [])


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_every_verb_with_what_it_does(say: Say, arguments: tuple[str, ...]) -> None:
    code, out, err = say(*arguments)
    assert (code, err) == (0, [])
    for verb, summary in VERBS.items():
        assert any(re.match(rf"\s+{verb}\s+{re.escape(summary[:20])}", line) for line in out)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_of_its_own(say: Say, verb: str) -> None:
    code, out, err = say(verb, "--help")
    assert (code, err) == (0, [])
    assert out[0].startswith(f"Usage: diptych {verb} ")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("fti", "did you mean 'fit'?"),
        ("predicts", "did you mean 'predict'?"),
        ("Serve", "did you mean 'serve'?"),
    ],
)
def test_an_unknown_verb_gets_the_nearest_spelling(say: Say, word: str, hint: str) -> None:
    assert say(word) == (2, [], [f"error: there is no verb {word!r}", f"hint: {hint}"])


def test_a_verb_like_no_other_gets_the_list(say: Say) -> None:
    code, _, err = say("xyzzy", "--help")
    assert code == 2
    assert err[1] == f"hint: known: {', '.join(sorted(VERBS))}"


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (("--nope",), "No such option: --nope", "see: diptych --help"),
        (("doctor", "--nope"), "No such option: --nope", "see: diptych doctor --help"),
        (
            ("doctor", "extra"),
            "Got unexpected extra argument(s) (extra)",
            "see: diptych doctor --help",
        ),
        (("predict",), "Missing argument 'bundle'", "see: diptych predict --help"),
    ],
)
def test_a_mistake_of_usage_is_one_line_and_where_to_look(
    say: Say, arguments: tuple[str, ...], error: str, hint: str
) -> None:
    code, out, err = say(*arguments)
    assert (code, out) == (2, [])
    assert len(err) == 2
    assert err[0].replace("argument (", "argument(s) (") == f"error: {error}"
    assert err[1] == f"hint: {hint}"


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (DataError("one class only", "give two"), ["error: one class only", "hint: give two"]),
        (StorageError("the disk is full"), ["error: the disk is full"]),
        (TrainingError("line one\n  line two", "a\nb"), ["error: line one line two", "hint: a b"]),
    ],
)
def test_an_error_that_a_user_can_act_on_is_one_line_and_a_hint(
    say: Say, verb: Callable[..., None], error: Exception, lines: list[str]
) -> None:
    verb(raises(error))
    assert say("doctor") == (2, [], lines)


def test_an_error_brings_its_own_exit_code(say: Say, verb: Callable[..., None]) -> None:
    class UnmetError(DataError):
        exit_code = 3

    verb(raises(UnmetError("not met")))
    assert say("doctor") == (3, [], ["error: not met"])


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (3, 3), ("text", 0)])
def test_a_command_returns_its_exit_code(
    say: Say, verb: Callable[..., None], result: object, code: int
) -> None:
    verb(lambda: result)
    assert say("doctor") == (code, [], [])


def test_a_defect_is_one_line_and_its_traceback_is_in_a_file(
    say: Say, verb: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    verb(raises(ZeroDivisionError("x / 0\nis not defined")))
    code, out, err = say("doctor")
    (log,) = tmp_path.iterdir()
    assert (code, out) == (1, [])
    assert err == [
        "error: this is a defect of Diptych: ZeroDivisionError: x / 0 is not defined",
        f"hint: please report it with the details in {log}",
    ]
    assert log.read_text().startswith("Traceback (most recent call last):")
    assert "in command" in log.read_text()


def test_a_path_that_the_system_refuses_is_one_line(
    say: Say, verb: Callable[..., None], tmp_path: Path
) -> None:
    def look() -> None:
        (tmp_path / ("a" * 300)).exists()

    verb(look)
    code, _, err = say("doctor")
    assert code == 2
    assert err[0].startswith(f"error: cannot use {tmp_path}/aaa")
    assert err[0].endswith("...: file name too long")
    assert err[1] == "hint: check the path"


def test_a_defect_is_told_even_where_no_file_can_be_written(
    say: Say, verb: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    verb(raises(MemoryError()))
    code, _, err = say("doctor")
    assert code == 1
    assert err == ["error: this is a defect of Diptych: MemoryError:", "hint: please report it"]


def test_ctrl_c_ends_with_130_and_no_traceback(say: Say, verb: Callable[..., None]) -> None:
    verb(raises(KeyboardInterrupt()))
    assert say("doctor") == (130, [], ["error: interrupted"])
    in_a_class = RuntimeError("Error calling __set_name__ on 'Field' instance")
    in_a_class.__cause__ = KeyboardInterrupt()
    verb(raises(in_a_class))
    assert say("doctor") == (130, [], ["error: interrupted"])


@pytest.mark.parametrize(("module", "verb"), [("torch", "fit"), ("torch", "train")])
def test_a_verb_whose_library_is_not_installed_says_how_to_install_it(
    module: str, verb: str
) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; from diptych.cli.main import run; "
    run_it = subprocess.run(
        [sys.executable, "-c", f"{code} sys.exit(run([{verb!r}, 'digits']))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run_it.returncode == 2
    assert run_it.stderr.splitlines() == [
        f"error: {verb} needs {module!r}, which is not installed",
        "hint: pip install 'diptych[all]'",
    ]


def test_a_library_that_a_command_lacks_later_is_a_defect(
    say: Say, verb: Callable[..., None]
) -> None:
    verb(raises(ModuleNotFoundError("No module named 'x'", name="x")))
    assert say("doctor")[0] == 1


def test_a_reader_that_stops_reading_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "diptych", "--help"],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-"])
def test_streams_that_are_closed_are_no_error(closed: str) -> None:
    command = f"{sys.executable} -m diptych inspect digits {closed}"
    assert subprocess.run(["sh", "-c", command], capture_output=True, check=False).returncode == 0


def test_output_that_finds_no_room_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "diptych", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    first = ended.stderr.splitlines()[0]
    assert first == "error: cannot write to standard output: no space left on device"
    assert ended.returncode == 2


def test_only_the_module_of_the_asked_verb_is_loaded() -> None:
    code = (
        "import sys; from diptych.cli.main import run; run(['inspect', '--help']);"
        "print(sorted(m for m in sys.modules if m.startswith('diptych.cli.')))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()[-1]
    assert {f"diptych.cli.{v}" for v in VERBS} & set(re.findall(r"[\w.]+", shown)) == {
        "diptych.cli.inspect"
    }
