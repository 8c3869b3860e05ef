"""Whoever is not in the daemon's own list does not run under MPS."""

import os
import threading

import pytest

from splitwiser.errors import StartupError
from splitwiser.mps.attachment import Client, check_attached, clients, own_namespace
from splitwiser.mps.client import ClientShare, without_mps
from splitwiser.mps.control import Control
from tests.support.fake_gpu import row_of_ps

HERE = own_namespace()


def attach(control: Control, *rows: str) -> None:
    (control.pipe_dir / "clients").write_text("".join(rows))


def test_clients_are_read_off_the_daemons_table(running: Control) -> None:
    assert clients(running) == ()
    attach(running, row_of_ps(511, HERE), row_of_ps(512, 7, "vllm serve"))
    device = "GPU-d828b4f8-6348-6ade"
    assert clients(running) == (
        Client(511, 513, device, HERE, "python3"),
        Client(512, 513, device, 7, "vllm"),
    )


def test_attached_processes_pass_and_a_missing_one_is_named(running: Control) -> None:
    attach(running, row_of_ps(511, HERE), row_of_ps(512, HERE))
    check_attached(running, [511, 512])
    with pytest.raises(StartupError, match=r"not attached to the MPS daemon of .*: process 513, 514\n"):
        check_attached(running, [514, 511, 513], patience_s=0)


def test_the_same_number_in_another_pid_namespace_is_another_process(running: Control) -> None:
    attach(running, row_of_ps(1, HERE + 1))
    with pytest.raises(StartupError, match="process 1\n"):
        check_attached(running, [1], patience_s=0)


def test_no_daemon_is_no_attachment(running: Control) -> None:
    running.quit(1)
    with pytest.raises(StartupError, match="does not answer 'ps': Cannot find MPS control daemon process"):
        check_attached(running, [os.getpid()])


def test_a_daemon_that_is_busy_with_somebody_else_is_asked_again(
    running: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_MPS_BUSY", "2")
    attach(running, row_of_ps(511, HERE))
    check_attached(running, [511])


def test_a_client_that_is_listed_a_moment_later_is_waited_for(running: Control) -> None:
    late = threading.Timer(0.3, attach, (running, row_of_ps(511, HERE)))
    late.start()
    check_attached(running, [511])
    late.join()


def test_a_share_becomes_the_environment_that_cuda_reads(running: Control) -> None:
    assert ClientShare("below-normal", 50).environment(running) == {
        **running.variables,
        "CUDA_MPS_CLIENT_PRIORITY": "1",
        "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "50",
    }


def test_who_shall_not_use_mps_is_led_away_from_the_usual_daemon(running: Control) -> None:
    assert not Control.of_environment(without_mps(running.pipe_dir)).is_running()
