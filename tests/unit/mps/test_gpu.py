"""What nvidia-smi says of the GPU decides whether a stack may start on it."""

from dataclasses import replace
from pathlib import Path

import pytest

from splitwiser.errors import StartupError
from splitwiser.mps.gpu import check_shareable, read_gpu
from tests.support import fake_gpu
from tests.support.fake_gpu import H200

OTHER = "2, GPU-aaaaaaaa-0000-0000-0000-000000000000, NVIDIA H200, 580.159.04, Default, [N/A], [N/A], [N/A]"


def test_the_first_gpu_is_read() -> None:
    gpu = read_gpu()
    assert (gpu.name, gpu.driver, gpu.compute_mode, gpu.mig) == ("NVIDIA H200", "580.159.04", "Default", False)
    assert (gpu.total_bytes, gpu.free_bytes) == (143771 * 2**20, 143100 * 2**20)


@pytest.mark.parametrize(("visible", "index"), [("2", 2), ("GPU-aaaa", 2), ("0,2", 0), ("2,0", 2)])
def test_cuda_visible_devices_chooses(visible: str, index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.install(monkeypatch, H200, OTHER)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert read_gpu().index == index


@pytest.mark.parametrize(
    ("visible", "cause"),
    [
        ("", "is empty"),
        ("1", "names 1, and nvidia-smi lists no such GPU"),
        ("GPU-b", "names GPU-b, and nvidia-smi lists no such GPU"),
        ("GPU-", "nvidia-smi lists several"),
        ("MIG-1234", "divided by MIG"),
    ],
)
def test_a_gpu_that_is_not_there_is_refused(visible: str, cause: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.install(monkeypatch, H200, OTHER)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(StartupError, match=cause) as error:
        read_gpu()
    if "names" in cause:
        assert "2, GPU-aaaaaaaa" in error.value.help, "it says which there are"


def test_no_driver_and_no_program_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.install(monkeypatch)
    with pytest.raises(StartupError, match="couldn't communicate with the NVIDIA driver"):
        read_gpu()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartupError, match="there is no nvidia-smi"):
        read_gpu()


def test_an_answer_without_a_gpu_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_SMI", "")
    with pytest.raises(StartupError, match="lists no GPU"):
        read_gpu()


def test_gpus_that_two_processes_cannot_share_are_refused() -> None:
    gpu = read_gpu()
    exclusive = replace(gpu, compute_mode="Exclusive_Process")
    check_shareable(gpu, "mps")
    check_shareable(gpu, "time-slice")
    check_shareable(exclusive, "mps")
    check_shareable(exclusive, "single")
    for refused, sharing, cause in (
        (exclusive, "time-slice", "without MPS one process alone"),
        (replace(gpu, compute_mode="Prohibited"), "mps", "is Prohibited"),
        (replace(gpu, mig=True), "mps", "divided by MIG"),
    ):
        with pytest.raises(StartupError, match=cause):
            check_shareable(refused, sharing)
