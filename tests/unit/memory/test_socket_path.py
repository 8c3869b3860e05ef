"""The store listens only where nobody else can have put a folder or a socket, and replaces only what is stale."""

import os
import socket
import stat
from pathlib import Path

import pytest

from splitwiser.errors import StartupError
from splitwiser.memory.socket_path import connect, listen

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")


def refused(path: Path, match: str) -> None:
    with pytest.raises(StartupError, match=match) as caught:
        listen(path)
    assert caught.value.help


def test_a_missing_folder_is_made_for_user_and_group_alone(folder: Path) -> None:
    path = folder / "new" / "store.sock"
    with listen(path):
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        connect(path).close()


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(folder: Path) -> None:
    path = folder / "store.sock"
    listen(path).close()
    assert path.is_socket()
    with listen(path):
        refused(path, "another store listens")
        connect(path).close()


def test_a_full_backlog_is_a_live_listener(folder: Path) -> None:
    path = folder / "store.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other, connect_to_full(other, path):
        refused(path, "another store listens")


def connect_to_full(listener: socket.socket, path: Path) -> socket.socket:
    listener.bind(str(path))
    listener.listen(0)
    return connect(path)


def test_what_is_no_socket_is_never_removed(folder: Path) -> None:
    path = folder / "store.sock"
    path.write_text("precious")
    refused(path, "not a socket")
    assert path.read_text() == "precious"


def test_a_link_is_not_followed(folder: Path) -> None:
    path, target = folder / "store.sock", folder / "target.sock"
    listen(target).close()
    path.symlink_to(target)
    refused(path, "not a socket")
    (folder / "link").symlink_to(folder, target_is_directory=True)
    refused(folder / "link" / "store.sock", "symbolic link")
    (folder / "dangling").symlink_to(folder / "nowhere")
    refused(folder / "dangling" / "store.sock", "symbolic link")
    assert target.is_socket()


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    refused(folder / "store.sock", "writable by others")


@as_root
def test_what_belongs_to_another_user_is_refused(folder: Path) -> None:
    path = folder / "store.sock"
    listen(path).close()
    os.chown(path, 65534, 65534)
    refused(path, "belongs to user 65534")
    os.chown(folder, 65534, 65534)
    refused(path, "belongs to user 65534")


def test_a_path_longer_than_the_system_takes_is_refused_with_its_length(folder: Path) -> None:
    path = folder / ("x" * 120)
    refused(path, f"{len(str(path))} bytes")
    with pytest.raises(StartupError, match="bytes"):
        connect(path)


def test_a_folder_that_cannot_be_made_is_a_clear_error(folder: Path) -> None:
    (folder / "file").write_text("")
    refused(folder / "file" / "sub" / "store.sock", "cannot listen")
    refused(folder / "file" / "store.sock", "cannot listen")


def test_connecting_where_nobody_listens_says_to_start_the_store(folder: Path) -> None:
    with pytest.raises(StartupError, match="start the store"):
        connect(folder / "store.sock")
    listen(folder / "store.sock").close()
    with pytest.raises(StartupError, match="start the store"):
        connect(folder / "store.sock")
