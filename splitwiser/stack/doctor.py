"""Owns the examination of a machine for a stack on its GPU: one finding a question, whatever the answers before it."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from splitwiser.config.schema import Settings
from splitwiser.errors import SplitwiserError, StartupError
from splitwiser.mps.attachment import clients
from splitwiser.mps.control import BINARY, PIPE_VARIABLE, Control, require_binary
from splitwiser.mps.daemon import check_usable, own_daemon
from splitwiser.mps.gate import LIMIT
from splitwiser.mps.gpu import Gpu, check_shareable, read_gpu
from splitwiser.stack.gpu_budget import budget
from splitwiser.stack.gpu_sharing import check_caps, shares
from splitwiser.stack.run_dir import RunDir

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One question and its answer. ok None: nothing is wrong, and nothing was proven."""

    question: str
    answer: str
    ok: bool | None = True
    help: str = ""


async def examine_gpu(settings: Settings) -> list[Diagnosis]:
    """Everything that a stack on the GPU leans on. Starts no daemon; a cap's gate runs if one is there. May block."""
    found = [*_gpu(settings), *_software(), *_mps(settings)]
    if settings.engine.model:
        found.append(_ask("memory", lambda: _memory(settings)))
    return [*found, *await _gate(settings)]


def _ask(question: str, answer: Callable[[], str]) -> Diagnosis:
    """What is wrong is an answer, too."""
    try:
        return Diagnosis(question, answer())
    except SplitwiserError as error:
        return Diagnosis(question, error.cause, ok=False, help=error.help)


def _gpu(settings: Settings) -> Iterator[Diagnosis]:
    try:
        gpu = read_gpu()
    except StartupError as error:
        yield Diagnosis("GPU", error.cause, ok=False, help=error.help)
        return
    memory = f"{gpu.free_bytes / GIB:.1f} of {gpu.total_bytes / GIB:.1f} GiB free"
    yield Diagnosis("GPU", f"{gpu.name}, number {gpu.index}, {memory}")
    yield Diagnosis("driver", gpu.driver)
    yield _ask("MIG and compute mode", lambda: _shareable(gpu, settings.gpu.sharing))


def _shareable(gpu: Gpu, sharing: str) -> str:
    check_shareable(gpu, sharing)
    return f"no MIG, {gpu.compute_mode}"


def _software() -> Iterator[Diagnosis]:
    for package in ("cuda-bindings", "torch"):
        try:
            yield Diagnosis(package, version(package))
        except PackageNotFoundError:
            yield Diagnosis(package, "not installed", ok=False, help="pip install 'splitwiser[gpu]'")


def _mps(settings: Settings) -> Iterator[Diagnosis]:
    if settings.gpu.sharing != "mps":
        yield Diagnosis("MPS", f"not used: gpu.sharing is {settings.gpu.sharing}", ok=None)
        return
    program = _ask("MPS program", _program)
    yield program
    if not program.ok:
        return
    control, is_own = daemon_of(settings)
    try:
        if is_own and not control.is_running():
            yield Diagnosis("MPS daemon", "none; `splitwiser up --gpu` starts one of its own", ok=None)
            return
        check_usable(control)
        attached = ", ".join(f"{each.pid} {each.command}".strip() for each in clients(control))
        yield Diagnosis("MPS daemon", f"answers in {control.pipe_dir}")
        yield Diagnosis("attached processes", attached or "none", ok=None)
    except StartupError as error:
        yield Diagnosis("MPS daemon", error.cause, ok=False, help=error.help)
    for phase, share in shares(settings).items():
        cap = f"{share.sm_percent} % of the multiprocessors" if share.sm_percent < 100 else "no cap"
        if sms := settings.sms(phase):
            cap = f"a partition of {sms} multiprocessors"
        yield Diagnosis(f"{phase}'s share", f"{share.priority} priority, {cap}", ok=None)


def daemon_of(settings: Settings) -> tuple[Control, bool]:
    """The daemon that a stack of these settings would use, and whether that is one of its own."""
    named = settings.gpu.mps_pipe_dir or os.environ.get(PIPE_VARIABLE, "")
    if named:
        return Control.of_environment({**os.environ, PIPE_VARIABLE: named}, _uuid()), False
    return own_daemon(RunDir(settings.run_dir.expanduser().absolute()).mps, _uuid()), True


def _uuid() -> str:
    """The GPU's; empty where there is none, which is another question's answer."""
    try:
        return read_gpu().uuid
    except StartupError:
        return ""


def _program() -> str:
    require_binary()
    return shutil.which(BINARY) or ""


def _memory(settings: Settings) -> str:
    found = budget(settings, read_gpu().free_bytes)
    found.check()
    return str(found)


async def _gate(settings: Settings) -> Sequence[Diagnosis]:
    capped = [phase for phase, share in shares(settings).items() if share.sm_percent < 100]
    if not (capped or settings.gpu.prefill_sms or settings.gpu.decode_sms) or settings.gpu.sharing != "mps":
        return [Diagnosis("numeric gate", "no phase is confined", ok=None)]
    if not settings.engine.model:
        return [Diagnosis("numeric gate", "needs --model: the products are the model's own", ok=None)]
    control, _ = daemon_of(settings)
    try:
        if not control.is_running():
            return [Diagnosis("numeric gate", "not run: no daemon; `splitwiser up` runs it", ok=None)]
        findings = await check_caps(settings, control)
    except StartupError as error:
        return [Diagnosis("numeric gate", error.cause, ok=False, help=error.help)]
    return [
        Diagnosis(
            f"numeric gate, {phase}",
            f"{found.sm_count} multiprocessors, largest relative error {found.error:.2g}, allowed {LIMIT:g}",
        )
        for phase, found in findings.items()
    ]
