"""Libraries are imported without the module by which they would report their use."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from diptych.inference.runtimes.telemetry import ONNXRUNTIME_SWITCH, SENDER, no_telemetry

WATCH = """
import sys
from pathlib import Path
import socket
class Deaf(socket.socket):
    def connect(self, *address):
        raise SystemExit(f"connects to {address}")
    def sendto(self, *address):
        raise SystemExit(f"sends to {address}")
socket.socket = Deaf
def no_lookup(*address, **options):
    raise SystemExit(f"looks up {address}")
socket.getaddrinfo = no_lookup
from diptych.inference.bundle import load
with load(sys.argv[1], runtime=sys.argv[2]) as bundle:
    bundle.predict(bundle.golden().inputs)
assert sys.argv[2] in sys.modules
told = [name for name in sys.modules if name.startswith("openvino_telemetry")]
left = [str(path) for path in Path.home().iterdir()]
sys.exit(str((told, left)) if told or left else 0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_predicting_opens_no_connection_and_leaves_nothing_in_the_home_folder(
    tiny_bundle, tmp_path, runtime
):
    home = tmp_path / "home"
    home.mkdir()
    inherited = {key: value for key, value in os.environ.items() if key != ONNXRUNTIME_SWITCH}
    run = subprocess.run(
        [sys.executable, "-c", WATCH, str(tiny_bundle), runtime],
        env={**inherited, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_the_sender_is_hidden_only_while_it_lasts():
    before = {name: module for name, module in sys.modules.items() if name.startswith(SENDER)}
    with no_telemetry():
        with pytest.raises(ImportError):
            __import__(SENDER)
        with pytest.raises(ImportError):
            __import__(f"{SENDER}.main")
    after = {name: module for name, module in sys.modules.items() if name.startswith(SENDER)}
    assert before == after


def test_it_is_put_back_when_the_import_fails():
    with pytest.raises(ZeroDivisionError), no_telemetry():
        _ = 1 / 0
    assert SENDER not in sys.modules or sys.modules[SENDER] is not None


def test_a_second_thread_waits_until_the_first_has_put_it_back():
    inside, leave = Event(), Event()

    def hide():
        with no_telemetry():
            inside.set()
            assert leave.wait(10)

    before = {name: module for name, module in sys.modules.items() if name.startswith(SENDER)}
    with ThreadPoolExecutor(1) as pool:
        with no_telemetry():
            hidden = pool.submit(hide)
            assert not inside.wait(0.1)
        leave.set()
        hidden.result()
    after = {name: module for name, module in sys.modules.items() if name.startswith(SENDER)}
    assert before == after
