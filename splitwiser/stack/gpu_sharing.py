"""Owns how a stack's phases come to share the GPU: the daemon, the gate, and what each phase's processes start with."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from splitwiser.config.schema import Settings
from splitwiser.mps.client import ClientShare, without_mps
from splitwiser.mps.control import Control, only_gpu
from splitwiser.mps.daemon import mps_daemon
from splitwiser.mps.gate import Finding, Shape, check_cap, check_partition, measure_products, rows_up_to
from splitwiser.mps.gpu import read_gpu
from splitwiser.stack.run_dir import RunDir
from splitwiser.stack.services import Environments
from splitwiser.text.model_files import ModelFiles
from splitwiser.text.weight_headers import weight_shapes

NO_CAP = 100
FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


@asynccontextmanager
async def gpu_sharing(settings: Settings, run_dir: RunDir) -> AsyncIterator[Environments]:
    """Let both phases share the GPU as settings say, for the length of the block; on a CPU this is nothing.

    Every process sees this one GPU alone. Raises StartupError when it is not there, when there is no usable MPS daemon,
    or when a cap does not pass the numeric gate.
    """
    if settings.engine.device != "cuda":
        yield {}
        return
    # By its UUID from here on: a number means one thing to nvidia-smi, another to CUDA, a third to MPS.
    uuid = (await asyncio.to_thread(read_gpu)).uuid
    if settings.gpu.sharing != "mps":
        alone = without_mps(run_dir.root) | only_gpu(uuid)
        yield {"prefill": alone, "decode": alone, "single": alone}
    else:
        async with mps_daemon(settings.gpu.mps_pipe_dir, run_dir.mps, gpu_uuid=uuid) as control:
            await check_caps(settings, control)
            yield {phase: share.environment(control) for phase, share in shares(settings).items()}


def shares(settings: Settings) -> dict[str, ClientShare]:
    """Each phase's part of the GPU."""
    gpu = settings.gpu
    return {
        "prefill": ClientShare(gpu.prefill_priority, gpu.prefill_sm_percent),
        "decode": ClientShare(gpu.decode_priority, gpu.decode_sm_percent),
    }


async def check_caps(
    settings: Settings, control: Control, phases: Collection[str] = ("prefill", "decode")
) -> dict[str, Finding]:
    """The finding of each of these phases that is capped or has a partition. Raises StartupError when it fails."""
    rows = {
        "prefill": rows_up_to(settings.prefill.chunk_tokens),
        "decode": rows_up_to(settings.decode.max_batch),
    }
    findings = {}
    for phase, share in shares(settings).items():
        measure = partial(measure_cap, settings, control, share.priority, rows[phase])
        if phase in phases and (sms := settings.sms(phase)):
            partition = {"side": phase, "sms": sms}
            findings[phase] = await check_partition(phase, measure(NO_CAP, partition=partition))
        elif phase in phases and share.sm_percent < NO_CAP:
            findings[phase] = await check_cap(share.sm_percent, measure, field=f"gpu.{phase}_sm_percent")
    return findings


async def measure_cap(
    settings: Settings,
    control: Control,
    priority: str,
    rows: list[int],
    sm_percent: int,
    partition: Mapping[str, object] | None = None,
) -> Finding:
    """What a cap, or a partition, does to the model's own matrix products, of these numbers of rows."""
    environment = ClientShare(priority, sm_percent).environment(control)
    return await measure_products(
        product_shapes(settings.engine.model, fused=settings.engine.kind == "vllm"),
        rows,
        settings.engine.dtype,
        sm_percent,
        environment,
        partition=partition,
    )


def product_shapes(model: str, *, fused: bool = False) -> list[Shape]:
    """n and k of every matrix that the model's checkpoint holds. Experts of a mixture are stacked matrices.

    fused: and of those that vLLM makes one of, by the names that most checkpoints use. Raises StartupError for a
    checkpoint that does not tell them.
    """
    files = ModelFiles(model)
    matrices = {name: shape for name, shape in weight_shapes(files).items() if len(shape) in (2, 3)}
    found = {(shape[-2], shape[-1]) for shape in matrices.values()}
    shapes = sorted(found | (set(_fused(matrices)) if fused else set()))
    if not shapes:
        raise files.broken(
            "has no safetensors files, whose headers tell the gate its matrix products",
            help="save it in that format, or leave the caps at 100",
        )
    return shapes


def _fused(matrices: Mapping[str, tuple[int, ...]]) -> Iterator[Shape]:
    """Matrices of the same input, one below the other."""
    for first, *others in FUSED:
        for name, shape in matrices.items():
            together = [matrices.get(name.replace(first, other)) for other in others]
            if first in name and all(together):
                yield shape[-2] + sum(each[-2] for each in together if each), shape[-1]
