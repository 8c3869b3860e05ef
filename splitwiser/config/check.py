"""Owns the checks across settings: what no single field can tell. Looks at nothing but the settings themselves."""

from collections.abc import Callable, Collection, Iterator
from urllib.parse import urlsplit

from splitwiser.config.address import TcpAddress, parse_address
from splitwiser.config.problem import Problem, raise_problems
from splitwiser.config.schema import Settings

Origin = Callable[[tuple[str, ...]], str]
REDIS_SCHEMES = ("redis", "rediss", "unix")
OTLP_SCHEMES = ("http", "https")
LEAST_ROOM_TOKENS = 32
"""More than what a request has left when it asks for its next page."""
VLLM_PAGE_UNITS = {"cpu": 32, "cuda": 16}
"""What vLLM's kernels take pages of a multiple of, by device."""


def check_settings(settings: Settings) -> None:
    """Raise ConfigurationError with all that is wrong across fields. For settings that load_settings did not make."""
    problems = find_problems(settings, lambda _: "the caller")
    if problems:
        raise_problems(problems)


def find_problems(settings: Settings, origin: Origin) -> list[Problem]:
    """All that is wrong across fields. origin tells who set a path."""
    checks = (
        _listen,
        _tls,
        _device,
        _offload,
        _partition,
        _single,
        _pool_shares,
        _rooms,
        _host_pages,
        _vllm_pages,
        _beat,
        _redis,
        _otlp,
    )
    return [
        Problem(field, value, cause, remedy, origin(tuple(field.split("."))))
        for check in checks
        for field, value, cause, remedy in check(settings)
    ]


Found = Iterator[tuple[str, object, str, str]]


def _listen(settings: Settings) -> Found:
    router = settings.router
    yield from _address(settings, "router.listen", router.listen, "give HOST:PORT or unix:PATH")
    if router.http_listen.startswith("unix:"):
        yield "router.http_listen", router.http_listen, "HTTP has no unix sockets here", "give HOST:PORT"
    elif router.http_listen:
        yield from _address(settings, "router.http_listen", router.http_listen, "give HOST:PORT, or leave it empty")


def _address(settings: Settings, name: str, listen: str, forms: str) -> Found:
    try:
        address = parse_address(listen)
    except ValueError as error:
        yield name, listen, str(error), forms
        return
    protected = settings.tls.cert_file or settings.router.allow_plaintext
    if isinstance(address, TcpAddress) and not (address.is_loopback or protected):
        remedy = "listen on 127.0.0.1, set tls.cert_file, or router.allow_plaintext where the network itself is trusted"
        yield name, listen, "would serve plaintext beyond this machine", remedy


def _tls(settings: Settings) -> Found:
    tls = settings.tls
    if tls.cert_file and not tls.key_file:
        yield "tls.key_file", "", "tls.cert_file is of no use without its key", "give both, or neither"
    if tls.key_file and not tls.cert_file:
        yield "tls.cert_file", "", "tls.key_file is of no use without its certificate", "give both, or neither"


def _device(settings: Settings) -> Found:
    engine, gpu = settings.engine, settings.gpu
    if engine.device == "cuda" and engine.kind == "sim":
        yield "engine.device", engine.device, "the sim engine computes on a CPU", "give --engine transformers or vllm"
    for phase, percent in (("prefill", gpu.prefill_sm_percent), ("decode", gpu.decode_sm_percent)):
        if gpu.sharing != "mps" and percent < 100:
            remedy = "set gpu.sharing=mps, or leave the share at 100"
            yield f"gpu.{phase}_sm_percent", percent, "only MPS caps multiprocessors", remedy


def _offload(settings: Settings) -> Found:
    engine = settings.engine
    if engine.weight_offload_gib and engine.kind != "vllm":
        remedy = "give --engine vllm, or leave it at 0"
        cause = f"the {engine.kind} engine has all weights where it computes"
        yield "engine.weight_offload_gib", engine.weight_offload_gib, cause, remedy


def _partition(settings: Settings) -> Found:
    """Green contexts split the whole GPU; the engine has to be told, and each phase is a process."""
    gpu = settings.gpu
    for name, sms in (("gpu.prefill_sms", gpu.prefill_sms), ("gpu.decode_sms", gpu.decode_sms)):
        if sms and gpu.sharing != "mps":
            yield name, sms, "without MPS the phases take turns on the whole GPU", "set gpu.sharing=mps"
        if sms and settings.engine.kind != "vllm":
            yield name, sms, "only the vllm engine keeps to a partition", "give --engine vllm, or leave it at 0"
        if sms and min(gpu.prefill_sm_percent, gpu.decode_sm_percent) < 100:
            yield name, sms, "a capped process cannot split the GPU", "leave the caps at 100, or this at 0"


def _single(settings: Settings) -> Found:
    """One process has one worker of each phase, and an engine that leaves the order of steps to it."""
    if settings.gpu.sharing != "single":
        return
    if settings.engine.kind == "vllm":
        remedy = "compare with one unsplit vLLM, or give --engine transformers"
        yield "gpu.sharing", "single", "a vllm engine runs one phase for each process", remedy
    if itl_target_ms := settings.prefill.itl_target_ms:
        cause = "with gpu.sharing=single the phases take turns, so no step of decode takes longer for a prompt"
        yield "prefill.itl_target_ms", itl_target_ms, cause, "leave it at 0, or set gpu.sharing=mps"
    for phase, workers in (("prefill", settings.prefill.workers), ("decode", settings.decode.workers)):
        if workers > 1:
            yield f"{phase}.workers", workers, "gpu.sharing=single is one process", "leave it at 1"


def _pool_shares(settings: Settings) -> Found:
    """Every worker needs a page, or none of its requests could ever run."""
    pool = settings.pool
    shares = {"prefill": settings.prefill_pages, "decode": settings.decode_pages}
    for phase, pages in shares.items():
        if pages == 0:
            cause = f"leaves none of the {pool.pages} pages for each {phase} worker"
            yield (
                "pool.prefill_share",
                pool.prefill_share,
                cause,
                "raise pool.pages, or change share or workers",
            )


def _rooms(settings: Settings) -> Found:
    room_tokens = settings.decode.room_tokens
    if 0 < room_tokens < LEAST_ROOM_TOKENS:
        cause = "a request asks for its next page some tokens before it needs it, and has no more than these"
        yield "decode.room_tokens", room_tokens, cause, f"give {LEAST_ROOM_TOKENS} or more, or 0"


def _host_pages(settings: Settings) -> Found:
    pool = settings.pool
    if pool.host_pages and not pool.prefix_cache:
        cause = "without pool.prefix_cache no page is kept"
        yield "pool.host_pages", pool.host_pages, cause, "set pool.prefix_cache, or leave this at 0"


def _vllm_pages(settings: Settings) -> Found:
    engine, page_tokens = settings.engine, settings.pool.page_tokens
    unit = VLLM_PAGE_UNITS[engine.device]
    if engine.kind == "vllm" and page_tokens % unit:
        cause = f"vLLM's kernels for {engine.device} do not take such pages"
        yield "pool.page_tokens", page_tokens, cause, f"give a multiple of {unit}, or leave it out"


def _beat(settings: Settings) -> Found:
    """One late beat must not cost a lease."""
    store = settings.store
    if store.beat_s * 2 > store.lease_s:
        cause = f"a lease of {store.lease_s} s ends before the second beat"
        yield "store.beat_s", store.beat_s, cause, "give at most half of store.lease_s"


def _redis(settings: Settings) -> Found:
    url = settings.redis.url
    if url and not _is_url(url, REDIS_SCHEMES):
        yield "redis.url", url, "not a Redis URL", "give redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH"


def _otlp(settings: Settings) -> Found:
    endpoint = settings.telemetry.otlp_endpoint
    if endpoint and not _is_url(endpoint, OTLP_SCHEMES):
        yield "telemetry.otlp_endpoint", endpoint, "not an http URL", "give a URL such as http://127.0.0.1:4317"


def _is_url(text: str, schemes: Collection[str]) -> bool:
    """Whether it has one of these schemes, a host (unix: a path), and a port only if that is one."""
    try:
        parts = urlsplit(text)
        place = parts.path if parts.scheme == "unix" else parts.hostname
        # Reading the port raises for one that is out of range.
        return parts.scheme in schemes and bool(place) and parts.port != 0
    except ValueError:
        return False
