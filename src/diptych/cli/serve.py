"""`diptych serve`: bundles over HTTP until somebody asks to stop."""

import ipaddress
import re
from functools import partial
from typing import Annotated

import typer

from diptych.cli.output import note, print_json
from diptych.core.errors import ConfigError
from diptych.core.extras import require
from diptych.serving import server
from diptych.serving.app import Application
from diptych.serving.body import Limits
from diptych.serving.models import open_models

SIZE = re.compile(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*(B|KB|MB|GB)?\s*", re.IGNORECASE)
SCALES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
LARGEST_BYTES = 10**9


def command(
    bundles: Annotated[list[str], typer.Argument(help="Bundles' folders, or NAME=FOLDER.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any free one.")] = 8000,
    max_body: Annotated[str, typer.Option(help="The largest request.")] = "8MB",
    as_json: Annotated[bool, typer.Option("--json", help="Print the address as JSON.")] = False,
) -> None:
    """Serve bundles over HTTP: a page to try them, /predict, and the Open Inference Protocol."""
    limits = Limits(max_body_bytes=parse_size(max_body))
    require("uvicorn", "serve")
    with server.reserve(host, port) as opened, open_models(bundles) as models:
        address = server.url(opened)
        if not is_loopback(opened.getsockname()[0]):
            note("warning: other machines can reach this server, and it asks nobody who they are")
        ready = partial(_tell_ready, address, list(models), as_json)
        server.run(Application(models, limits), opened, ready)
    note("stopped")


def parse_size(text: str) -> int:
    """Read a size.

    Args:
        text: Such as ``8MB``, ``500 kb`` or ``4096``.

    Returns:
        Bytes.

    Raises:
        ConfigError: If it is not a size, or not from 1 byte to 1 GB.
    """
    match = SIZE.fullmatch(text)
    size_bytes = int(float(match[1]) * SCALES[(match[2] or "B").upper()]) if match else 0
    if not 1 <= size_bytes <= LARGEST_BYTES:
        raise ConfigError(f"--max-body is {text!r}", "write a size up to 1GB, such as 8MB")
    return size_bytes


def is_loopback(address: str) -> bool:
    """Tell whether only this machine can reach an address.

    Args:
        address: An IP address.

    Returns:
        True for 127.0.0.1, ::1 and the like.
    """
    return ipaddress.ip_address(address.split("%", maxsplit=1)[0]).is_loopback


def _tell_ready(address: str, names: list[str], as_json: bool) -> None:
    if as_json:
        print_json({"address": address, "models": names})
    note(f"serving {', '.join(names)} at {address} (Ctrl-C stops)")
