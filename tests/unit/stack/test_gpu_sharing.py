"""A stack on a GPU starts only where both phases can share it, and its phases get what the settings say."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from splitwiser.config.check import check_settings
from splitwiser.config.schema import Settings
from splitwiser.errors import ConfigurationError, StartupError
from splitwiser.memory import machine
from splitwiser.mps import control
from splitwiser.mps.daemon import own_daemon
from splitwiser.stack.doctor import examine_gpu
from splitwiser.stack.gpu_budget import budget
from splitwiser.stack.gpu_check import check_gpu
from splitwiser.stack.gpu_sharing import gpu_sharing, product_shapes
from splitwiser.stack.process import Process
from splitwiser.stack.run_dir import RunDir
from splitwiser.stack.services import services_of
from tests.support import fake_gpu
from tests.support.models import write_model
from tests.support.sockets import socket_folder


@pytest.fixture(autouse=True)
def fake_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_gpu.install(monkeypatch, fake_gpu.H200)


@pytest.fixture
def run_dir() -> Iterator[RunDir]:
    with socket_folder() as path:
        yield RunDir(path)


@pytest.fixture
def model(tmp_path: Path) -> str:
    """Two layers of [128, 128] weights: a header, a configuration, no numbers."""
    return str(write_model(tmp_path / "model", {"a.weight": (128, 64), "b.weight": (64, 128), "norm": (64,)}))


def settings_of(run_dir: RunDir, model: str = "", **gpu: object) -> Settings:
    engine = {"device": "cuda", "model": model, "dtype": "bfloat16"}
    return Settings.model_validate({"run_dir": run_dir.root, "engine": engine, "gpu": gpu})


async def test_under_mps_each_phase_gets_its_daemon_priority_and_cap(run_dir: RunDir) -> None:
    settings = settings_of(run_dir)
    async with gpu_sharing(settings, run_dir) as environments:
        assert own_daemon(run_dir.mps).is_running()
        by_name = {spec.instance: spec.environment for spec in services_of(settings, run_dir, "x", environments)}
    assert by_name["prefill-0"]["CUDA_MPS_CLIENT_PRIORITY"] == "1"
    assert by_name["decode-0"]["CUDA_MPS_CLIENT_PRIORITY"] == "0"
    assert by_name["decode-0"]["CUDA_MPS_PIPE_DIRECTORY"] == str(run_dir.mps / "pipe")
    assert by_name["store"] == by_name["router"] == {}
    assert not own_daemon(run_dir.mps).is_running()


async def test_in_turns_no_phase_can_meet_a_daemon(run_dir: RunDir) -> None:
    async with gpu_sharing(settings_of(run_dir, sharing="time-slice"), run_dir) as environments:
        pipe_dir = Path(environments["prefill"]["CUDA_MPS_PIPE_DIRECTORY"])
    assert pipe_dir.is_absolute()
    assert list(run_dir.root.iterdir()) == []


@pytest.mark.parametrize("sharing", ["mps", "time-slice"])
async def test_of_several_gpus_workers_and_daemon_see_the_named_one_alone(
    sharing: str, run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = fake_gpu.H200.replace("0, GPU-d828b4f8", "3, GPU-aaaaaaaa")
    fake_gpu.install(monkeypatch, fake_gpu.H200, other)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    uuid = other.split(", ")[1]
    async with gpu_sharing(settings_of(run_dir, sharing=sharing), run_dir) as environments:
        assert {each["CUDA_VISIBLE_DEVICES"] for each in environments.values()} == {uuid}
        if sharing == "mps":
            assert (run_dir.mps / "log" / "control.log").read_text() == f"GPUs: {uuid}\n"


async def test_a_gpu_that_is_named_and_not_there_starts_no_daemon(
    run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with pytest.raises(StartupError, match="names 3, and nvidia-smi lists no such GPU"):
        async with gpu_sharing(settings_of(run_dir), run_dir):
            pytest.fail("started")
    assert not own_daemon(run_dir.mps).is_running()


async def test_on_a_cpu_nothing_is_shared(run_dir: RunDir) -> None:
    async with gpu_sharing(Settings(run_dir=run_dir.root), run_dir) as environments:
        assert environments == {}


async def test_a_service_starts_with_its_environment(run_dir: RunDir, tmp_path: Path) -> None:
    process = await Process.start(["/usr/bin/env"], tmp_path / "log", {"CUDA_MPS_CLIENT_PRIORITY": "1"})
    assert await asyncio.wait_for(process.wait(), 60) == 0
    assert "CUDA_MPS_CLIENT_PRIORITY=1" in (tmp_path / "log").read_text().splitlines()


def test_the_gates_products_are_the_matrices_of_the_checkpoint(model: str) -> None:
    assert product_shapes(model) == [(64, 128), (128, 64)]


def test_vllm_computes_matrices_of_one_input_as_one(tmp_path: Path) -> None:
    tensors = {
        "layers.0.q_proj.weight": (64, 32),
        "layers.0.k_proj.weight": (16, 32),
        "layers.0.v_proj.weight": (16, 32),
        "layers.0.o_proj.weight": (32, 64),
        "layers.0.gate_proj.weight": (128, 32),
        "layers.0.up_proj.weight": (128, 32),
        "layers.0.norm.weight": (32,),
    }
    model = str(write_model(tmp_path / "model", tensors))
    plain = {(64, 32), (16, 32), (32, 64), (128, 32)}
    assert set(product_shapes(model)) == plain
    assert set(product_shapes(model, fused=True)) == plain | {(96, 32), (256, 32)}


def test_a_checkpoint_that_tells_no_matrices_cannot_be_gated(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="has no safetensors files"):
        product_shapes(str(tmp_path))


def test_memory_is_summed_before_anything_is_loaded_and_told_when_it_is_too_little(
    run_dir: RunDir, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(run_dir, model)
    found = budget(settings, 10 * 2**30)
    # write_model's configuration: 2 layers, 4 KV heads of 16.
    assert found.weights_bytes == 2 * (2 * 128 * 64 + 64)
    assert found.pool_bytes == 2 * (2 * 2 * 4 * 16) * settings.pool.pages * settings.pool.page_tokens
    check_gpu(settings)
    monkeypatch.setenv("FAKE_SMI", fake_gpu.H200.replace("143100", "2000"))
    with pytest.raises(StartupError, match=r"weights 0.0 \+ pool 0.0 \+ work 3.0 = 3.0 GiB of 2.0 GiB free"):
        check_gpu(settings)


@pytest.mark.parametrize(("asked_bytes", "host_bytes"), [(0, 0), (4096, 4096), (2**30, 2 * (2 * 128 * 64 + 64))])
def test_weights_on_the_host_are_not_counted_on_the_gpu(
    asked_bytes: int, host_bytes: int, run_dir: RunDir, model: str
) -> None:
    settings = settings_of(run_dir, model)
    all_bytes = budget(settings, 10 * 2**30).weights_bytes
    found = budget(with_offload(settings, asked_bytes / 2**30), 10 * 2**30)
    assert (found.host_bytes, found.weights_bytes) == (host_bytes, all_bytes - host_bytes)
    assert ("host memory: weights" in str(found)) is bool(host_bytes)
    found.check()


def test_too_little_memory_for_weights_on_the_host_is_told(
    run_dir: RunDir, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 64 kB\nMemAvailable:       8 kB\n")
    monkeypatch.setattr(machine, "MEMINFO", tmp_path / "meminfo")
    told = r"host memory: weights 0\.0 \+ pages 0\.0 = 0\.0 GiB of 0\.0 GiB free"
    with pytest.raises(StartupError, match=told) as error:
        check_gpu(with_offload(settings_of(run_dir, model), 1))
    assert error.value.field == "engine.weight_offload_gib"
    with pytest.raises(StartupError, match=told) as error:
        check_gpu(with_host_pages(settings_of(run_dir, model), 100))
    assert error.value.field == "pool.host_pages"


def test_host_pages_are_counted_as_the_pools_are(run_dir: RunDir, model: str) -> None:
    settings = settings_of(run_dir, model)
    found = budget(with_host_pages(settings, 3 * settings.pool.pages), 10 * 2**30)
    assert found.host_pages_bytes == found.host_needed_bytes == 3 * found.pool_bytes
    assert "host memory" in str(found)


def with_host_pages(settings: Settings, pages: int) -> Settings:
    return settings.model_copy(update={"pool": settings.pool.model_copy(update={"host_pages": pages})})


def with_offload(settings: Settings, gib: float) -> Settings:
    engine = settings.engine.model_copy(update={"kind": "vllm", "weight_offload_gib": gib})
    return settings.model_copy(update={"engine": engine})


@pytest.mark.parametrize(
    ("section", "cause"),
    [
        ({"engine": {"kind": "sim", "device": "cuda"}}, "the sim engine computes on a CPU"),
        ({"gpu": {"sharing": "time-slice", "decode_sm_percent": 50}}, "only MPS caps multiprocessors"),
        ({"gpu": {"sharing": "time-slice", "decode_sms": 48}}, "without MPS the phases take turns"),
        ({"gpu": {"prefill_sms": 84}}, "only the vllm engine keeps to a partition"),
        ({"gpu": {"decode_sms": 48, "prefill_sm_percent": 50}}, "a capped process cannot split the GPU"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(section: dict[str, object], cause: str) -> None:
    with pytest.raises(ConfigurationError, match=cause):
        check_settings(Settings.model_validate(section))


async def test_the_doctor_finds_a_healthy_machine_and_starts_nothing(run_dir: RunDir, model: str) -> None:
    found = {each.question: each for each in await examine_gpu(settings_of(run_dir, model))}
    assert found["GPU"].answer == "NVIDIA H200, number 0, 139.7 of 140.4 GiB free"
    assert found["MPS daemon"].ok is None
    assert "weights 0.0 + pool" in found["memory"].answer
    assert not own_daemon(run_dir.mps).is_running()


async def test_the_doctor_lists_who_is_attached(run_dir: RunDir) -> None:
    settings = settings_of(run_dir)
    async with gpu_sharing(settings, run_dir):
        (run_dir.mps / "pipe" / "clients").write_text(fake_gpu.row_of_ps(511, 7))
        found = {each.question: each for each in await examine_gpu(settings)}
    assert found["MPS daemon"].ok
    assert found["attached processes"].answer == "511 python3"


@pytest.mark.parametrize("is_own", [True, False])
async def test_a_daemon_that_hangs_is_one_finding_among_others(
    is_own: bool, run_dir: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "TIMEOUT_S", 0.1)
    monkeypatch.setenv("FAKE_MPS_SLOW", "60")
    if not is_own:
        monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(run_dir.root))
    found = {each.question: each for each in await examine_gpu(settings_of(run_dir))}
    assert found["MPS daemon"].ok is False
    assert "hangs" in found["MPS daemon"].answer
    assert "decode's share" in found


async def test_the_doctor_goes_on_where_something_is_missing(run_dir: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(run_dir.root))
    wrong = {each.question for each in await examine_gpu(settings_of(run_dir)) if each.ok is False}
    assert {"GPU", "MPS program"} <= wrong
