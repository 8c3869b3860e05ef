"""Owns where the store listens: a folder and a socket that nobody else can have put there, replaced only when stale."""

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from splitwiser.errors import StartupError

FOLDER_MODE = 0o750
SOCKET_MODE = 0o660
MAX_PATH_BYTES = 107
"""sun_path is 108 bytes with its final NUL."""
BACKLOG = 128
CONNECT_TIMEOUT_S = 5.0


def listen(path: Path) -> socket.socket:
    """A non-blocking SOCK_SEQPACKET listener at path. A stale socket of this user is replaced.

    Raises StartupError for a path that is too long, a link, not a socket, somebody else's, or where another store
    listens; and for a folder that is a link, somebody else's, or writable by others.
    """
    _check_length(path)
    try:
        with _locked_folder(path.parent):
            _remove_stale(path)
            return _bind(path)
    except OSError as error:
        raise StartupError(f"cannot listen on {path}: {error.strerror}", help="set store.socket elsewhere") from error


def connect(path: Path) -> socket.socket:
    """A SOCK_SEQPACKET socket connected to path. Raises StartupError when nobody listens there."""
    _check_length(path)
    sock = _new_socket()
    sock.settimeout(CONNECT_TIMEOUT_S)
    try:
        sock.connect(str(path))
    except OSError as error:
        sock.close()
        raise StartupError(
            f"no store at {path}: {error.strerror or error}", help="start the store first, as the same user"
        ) from error
    return sock


def nobody_listens_yet(path: Path) -> bool:
    """Whether there is no socket at path, or one that a store left behind: a store may still come."""
    _check_length(path)
    with _new_socket() as probe:
        probe.setblocking(False)
        return probe.connect_ex(str(path)) in (errno.ENOENT, errno.ECONNREFUSED)


def _new_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _check_length(path: Path) -> None:
    length = len(os.fsencode(path))
    if length > MAX_PATH_BYTES:
        raise StartupError(
            f"socket path of {length} bytes, at most {MAX_PATH_BYTES} are possible: {path}",
            help="set run_dir or store.socket to a shorter path",
        )


@contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    """Check the folder, or make it, and keep other stores from binding in it meanwhile."""
    if not os.path.lexists(folder):
        folder.mkdir(mode=FOLDER_MODE, parents=True)
        folder.chmod(FOLDER_MODE)
    if folder.is_symlink():
        raise StartupError(f"socket folder {folder} is a symbolic link", help="give the folder itself")
    folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_folder(folder, os.fstat(folder_fd))
        fcntl.flock(folder_fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder_fd)


def _check_folder(folder: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise StartupError(
            f"socket folder {folder} belongs to user {status.st_uid}, not to {os.geteuid()}",
            help="use a folder of your own",
        )
    if status.st_mode & 0o022:
        raise StartupError(
            f"socket folder {folder} is writable by others (mode {stat.S_IMODE(status.st_mode):04o})",
            help=f"chmod {FOLDER_MODE:04o} {folder}, or name a folder inside it, which will be made",
        )


def _remove_stale(path: Path) -> None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise StartupError(f"{path} exists and is not a socket", help="remove it, or set store.socket elsewhere")
    if status.st_uid != os.geteuid():
        raise StartupError(f"{path} belongs to user {status.st_uid}", help="remove it, or set store.socket elsewhere")
    if _somebody_listens(path):
        raise StartupError(f"another store listens on {path}", help="stop it, or set run_dir elsewhere")
    path.unlink()


def _somebody_listens(path: Path) -> bool:
    with _new_socket() as probe:
        probe.setblocking(False)
        # Anything but a refusal, a full backlog for one, is a listener.
        return probe.connect_ex(str(path)) != errno.ECONNREFUSED


def _bind(path: Path) -> socket.socket:
    sock = _new_socket()
    try:
        sock.setblocking(False)
        # The socket file is born with this mode, so nobody slips in before the one below.
        os.fchmod(sock.fileno(), 0o600)
        sock.bind(str(path))
        path.chmod(SOCKET_MODE)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock
