"""A small program that starts another, waits, and prints what it used as one JSON line.

It stands between a large process and the one it measures: on Linux the peak memory of a new
process begins with that of the process it was forked from, so a process of 500 MB would see
500 MB in everything it starts. Run as ``python -I -S launch.py COMMAND...``; uses only what
starts fast.
"""

import os
import sys
import time


def main(command: list[str]) -> int:
    """Start a command with its output discarded, wait for it, print its figures.

    Args:
        command: The program's path and its arguments.

    Returns:
        The exit code for this program: the command's own, or 127 where it cannot be started.
    """
    silence = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    begin_ns = time.perf_counter_ns()
    try:
        pid = os.posix_spawnp(command[0], command, os.environ, file_actions=silence)
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {(error.strerror or '').lower()}\n")
        return 127
    _, status, usage = os.wait4(pid, 0)
    wall_ms = (time.perf_counter_ns() - begin_ns) / 1e6
    cpu_seconds = usage.ru_utime + usage.ru_stime
    unit_bytes = 1 if sys.platform == "darwin" else 1024
    figures = f"[{wall_ms!r}, {cpu_seconds!r}, {usage.ru_maxrss * unit_bytes}]"
    sys.stdout.write(figures + "\n")
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
