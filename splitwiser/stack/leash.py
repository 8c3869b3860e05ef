"""Runs a command that the kernel kills as soon as its starter is gone: no orphan, even after a SIGKILL of the starter.

A program of its own (standard library alone), called as `python leash.py STARTER_PID COMMAND ...`. The child itself
must ask the kernel, and code run between fork and exec could meet locks of threads that no longer exist.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(starter_pid: int, command: list[str]) -> None:
    """Become the command."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != starter_pid:
        # The starter went away before the kernel was told to watch it.
        sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
