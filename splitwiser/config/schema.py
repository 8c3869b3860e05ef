"""Owns every setting: its name, its default, its bounds and what it is for. Read by config/load.py."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
KEPT_PART = 4
"""A worker keeps this part of its pages at hand, free, and lends what is free beyond it."""
Percent = Annotated[int, Field(gt=0, le=100)]
VLLM_PAGE_TOKENS = 32
"""The vllm engine's default."""


class Section(BaseModel):
    """A group of settings. Unknown names are errors, not noise."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class EngineSettings(Section):
    kind: Literal["sim", "transformers", "vllm"] = "transformers"
    """Which engine both phases run."""
    model: str = ""
    """A Hugging Face id or a folder. Empty: the built-in model of the sim engine, or a small random one."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number type of the weights and of the KV pool."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the workers compute. cuda is one GPU for both phases: the first that CUDA_VISIBLE_DEVICES leaves."""
    threads: Positive = 1
    """CPU threads of each worker's math."""
    step_timeout_s: Seconds = 120.0
    """Longest step of an engine. A worker whose step has not ended by then ends itself: its device is stuck."""
    batch_invariant: bool = False
    """vllm on cuda: kernels whose result for a token does not hang on what else is in the batch, and no torch.compile,
    which would replace some of them. Slower."""
    weight_offload_gib: Annotated[float, Field(ge=0)] = 0.0
    """vllm: least of the weights that is kept in this machine's memory, once for both phases, for a model that is too
    large for the GPU; every step reads it over PCIe. On a CPU, for tests: a second segment of the same memory."""


class PoolSettings(Section):
    pages: Positive = 2048
    """Pages of the one KV pool that both phases share."""
    page_tokens: Positive = 16
    """Tokens of one page; the vllm engine's default is 32."""
    prefill_share: Share = 0.5
    """Part of the pool that the prefill workers own together; the decode workers own the rest."""
    prefix_cache: bool = True
    """Keep full pages for prompts that begin alike. They take no memory away: pages that are needed are evicted."""
    host_pages: Annotated[int, Field(ge=0)] = 0
    """Pages in host memory where evicted pages have a copy, so that they come back without being computed again. They
    take as many bytes a page as the pool's do, beyond the pool, and pinned where the pool is on a GPU. 0: none."""


class PrefillSettings(Section):
    workers: Positive = 1
    """Prefill processes."""
    chunk_tokens: Positive = 1024
    """Most prompt tokens of one step, over all prompts in it."""
    itl_target_ms: Annotated[float, Field(ge=0)] = 0.0
    """How long decode's steps may take on average while prompts are computed: after longer ones prefill pauses until
    shorter ones have made up for them, but at most four times as long as its own last step. 0: no pauses."""
    max_batch: Positive = 16
    """Most prompts of one step."""


class DecodeSettings(Section):
    workers: Positive = 1
    """Decode processes."""
    max_batch: Positive = 64
    """Most sequences of one step."""
    room_tokens: Annotated[int, Field(ge=0)] = 64
    """A request starts with pages for so many tokens of its answer, 32 at least, and gets more as it grows; when there
    are none left, the one that came last gives its own back and is prefilled again later. 0: pages for max_tokens."""


class GpuSettings(Section):
    """How the phases share the GPU; on a CPU, of all this only sharing=single matters."""

    sharing: Literal["mps", "time-slice", "single"] = "mps"
    """mps: both phases run on the GPU at once. For comparison: time-slice, in turns as processes without MPS do;
    single, in one process, a step of the one after a step of the other."""
    mps_pipe_dir: str = ""
    """Pipe directory of an MPS daemon to use. Empty: CUDA_MPS_PIPE_DIRECTORY if that is set, else a daemon of the
    stack's own."""
    prefill_priority: Literal["normal", "below-normal"] = "below-normal"
    """MPS client priority of prefill. Below normal lets decode's kernels go first, which keeps its steps short."""
    decode_priority: Literal["normal", "below-normal"] = "normal"
    """MPS client priority of decode."""
    prefill_sm_percent: Percent = 100
    """Most of the GPU's multiprocessors that prefill runs on at a time. A cap must pass the numeric gate."""
    decode_sm_percent: Percent = 100
    """The same for decode."""
    prefill_sms: Annotated[int, Field(ge=0)] = 0
    """Multiprocessors that prefill is confined to, counted from the GPU's last. 0: none. Only with MPS and the vllm
    engine, and instead of caps."""
    decode_sms: Annotated[int, Field(ge=0)] = 0
    """The same for decode, a multiple of 8, counted from the first: the two share none if the GPU has so many."""


class RouterSettings(Section):
    listen: str = "127.0.0.1:50051"
    """gRPC address: HOST:PORT or unix:PATH."""
    http_listen: str = ""
    """HOST:PORT of the OpenAI-compatible HTTP API, such as 127.0.0.1:8000. Empty: no HTTP."""
    http_max_requests: Positive = 1024
    """HTTP requests in flight, those that wait in the queue included; one more is refused with status 429."""
    http_max_body_bytes: Positive = 4 << 20
    """Longest HTTP request body."""
    http_timeout_s: Seconds = 600.0
    """Deadline of an HTTP request that names none in its header X-Request-Timeout."""
    policy: Literal["fcfs", "shortest", "priority", "on-time"] = "fcfs"
    """Who is prefilled next: first come first served, the shortest prompt, or the lowest priority number. on-time: by
    arrival, but whoever cannot have a first token within router.ttft_target_s any more waits for all others."""
    ttft_target_s: Seconds = 1.0
    """What router.policy=on-time goes by."""
    max_queue: Positive = 256
    """Requests that may wait for a prefill worker; one more is refused with RESOURCE_EXHAUSTED."""
    prefill_inflight: Positive = 16
    """Requests given to one prefill worker at a time; the others wait in the router, where the policy orders them."""
    decode_inflight: Positive = 256
    """Requests given to one decode worker at a time."""
    default_max_tokens: Positive = 1024
    """Longest completion of a request that sets no max_tokens."""
    max_stop_strings: Positive = 8
    """Most stop strings of one request."""
    max_stop_chars: Positive = 128
    """Longest stop string."""
    max_prompt_chars: Positive = 1 << 20
    """Longest prompt text that is tokenized at all."""
    max_metadata_bytes: Positive = 8192
    """Most gRPC metadata of one call, and most header bytes of an HTTP request."""
    allow_plaintext: bool = False
    """Serve without TLS on an address beyond this machine, where the network itself is trusted. Workers that listen on
    TCP without TLS ask for it too."""
    max_connection_age_s: Annotated[float, Field(ge=0)] = 0.0
    """After about so long a client's connection is told to go elsewhere, while its calls go on; 0: never. So clients of
    a Service spread over its routers, and leave one that drains."""
    resolve_every_s: Seconds = 2.0
    """How often the addresses behind `--prefill dns:HOST:PORT` and `--decode dns:HOST:PORT` are asked for."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a request whose worker was lost is prefilled again."""
    on_decode_loss: Literal["resume", "fail"] = "resume"
    """What becomes of a request whose decode worker was lost in mid-stream. resume: its prompt and the tokens streamed
    so far are prefilled, and its stream goes on. fail: it ends with WORKER_LOST."""


class DrainSettings(Section):
    """How a service leaves after SIGTERM."""

    lame_duck_s: Annotated[float, Field(ge=0)] = 0.0
    """How long a router still takes requests after it has said that it does not serve, so that those who have not heard
    yet lose none. Behind a Kubernetes Service: some seconds, and more than router.max_connection_age_s."""
    grace_s: Annotated[float, Field(ge=0)] = 5.0
    """How long calls in flight may then take to end; after it they are cancelled."""


class TlsSettings(Section):
    """TLS of everything that listens on TCP or connects to it. Nothing set: plaintext."""

    cert_file: str = ""
    """Certificate of this process, as PEM with its chain. With it and key_file, listeners on TCP speak TLS alone."""
    key_file: str = ""
    """The certificate's key, without a password."""
    ca_file: str = ""
    """Certificates that others must have been issued by. With cert_file too, TLS is mutual: clients must show one.
    Empty: those of the system, and clients need none."""

    @property
    def enabled(self) -> bool:
        """Whether channels speak TLS."""
        return bool(self.cert_file or self.ca_file)


class StoreSettings(Section):
    socket: Path = Path("store.sock")
    """Unix socket, relative to run_dir."""
    name: str = "local"
    """Name of this store in handles, so that a handle of another store is told apart."""
    beat_s: Seconds = 3.0
    """How often a worker says that it is alive."""
    lease_s: Seconds = 20.0
    """How long a worker may be silent before its pages return to the free set; its socket's end frees them at once."""


class RedisSettings(Section):
    url: str = ""
    """redis://, rediss:// or unix:// URL; rediss://HOST:6379/0?ssl_ca_certs=FILE for a CA of one's own. Empty:
    `splitwiser up` starts a server of its own."""
    password: str = ""
    """For the server, if its URL has none. Best given by the environment, which a Kubernetes Secret can fill."""
    prefix: str = "splitwiser:"
    """First part of every key; stacks that share a server need one each."""
    timeout_s: Seconds = 0.2
    """Longest wait for an answer about a request in flight, which goes on without it."""
    open_timeout_s: Seconds = 2.0
    """Longest wait of a new request, which is refused without it. Long enough for a burst on a busy machine."""
    lease_s: Seconds = 20.0
    """How long the entry of a request outlives its last renewal."""


class TelemetrySettings(Section):
    otlp_endpoint: str = ""
    """OTLP gRPC endpoint, such as http://127.0.0.1:4317. Empty: spans stay in the local timeline."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Prometheus port of each service; 0 takes a free one and writes it to the service's card in run_dir."""
    metrics_host: str = "127.0.0.1"
    """Where that port is bound: plain HTTP without authentication, so beyond this machine only in a trusted network."""
    log_format: Literal["console", "json"] = "console"
    """Lines for people or for machines."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is logged."""
    record_content: bool = False
    """Put prompt and completion text into spans. Off: no text leaves the request's own stream."""


class SimSettings(Section):
    """The sim engine's cost model, in microseconds."""

    prefill_us_per_token: Annotated[float, Field(ge=0)] = 20.0
    """Time of a prefill step for each token in it."""
    decode_step_us: Annotated[float, Field(ge=0)] = 2000.0
    """Time of a decode step, however many sequences it has."""
    decode_us_per_sequence: Annotated[float, Field(ge=0)] = 20.0
    """Time of a decode step for each sequence in it."""
    max_model_tokens: Positive = 8192
    """Longest prompt and completion together."""


class StackSettings(Section):
    """The local stack that `splitwiser up` runs."""

    start_timeout_s: Seconds = 120.0
    """How long its services may take until every one of them is ready."""
    stop_timeout_s: Seconds = 10.0
    """How long a service may take to drain after SIGTERM (drain.lame_duck_s and drain.grace_s); SIGKILL follows."""
    spares: Literal["auto", "on", "off"] = "auto"
    """Keep a spare process for each worker, past its imports, that takes over when the worker dies. auto: where imports
    take seconds, which is with every engine but sim."""


class Settings(Section):
    """Everything. Set by file ([router] listen = ...), environment (SPLITWISER_ROUTER__LISTEN) or flag."""

    @model_validator(mode="before")
    @classmethod
    def _pages_of_the_engine(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The default of pool.page_tokens is the engine's."""
        engine, pool = values.get("engine", {}), values.get("pool", {})
        kind = engine.get("kind") if isinstance(engine, Mapping) else getattr(engine, "kind", None)
        if kind == "vllm" and isinstance(pool, Mapping):
            return {**values, "pool": {"page_tokens": VLLM_PAGE_TOKENS, **pool}}
        return values

    run_dir: Path = Path("runs/local")
    """Sockets, service cards, logs and the timeline of one local stack."""
    engine: EngineSettings = EngineSettings()
    pool: PoolSettings = PoolSettings()
    prefill: PrefillSettings = PrefillSettings()
    decode: DecodeSettings = DecodeSettings()
    gpu: GpuSettings = GpuSettings()
    router: RouterSettings = RouterSettings()
    drain: DrainSettings = DrainSettings()
    tls: TlsSettings = TlsSettings()
    store: StoreSettings = StoreSettings()
    redis: RedisSettings = RedisSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    sim: SimSettings = SimSettings()
    stack: StackSettings = StackSettings()

    @property
    def prefill_pages(self) -> int:
        """Pages that one prefill worker owns. The pool is divided for good: the hand-off exchanges equal counts."""
        return int(self.pool.pages * self.pool.prefill_share) // self.prefill.workers

    @property
    def decode_pages(self) -> int:
        """Pages that one decode worker owns."""
        return (self.pool.pages - self.prefill_pages * self.prefill.workers) // self.decode.workers

    def sms(self, phase: str) -> int:
        """Multiprocessors that the phase is confined to; 0: to none."""
        return self.gpu.prefill_sms if phase == "prefill" else self.gpu.decode_sms

    @property
    def pinned_pages(self) -> int:
        """Pages that prompts on their way to decode may have pinned together: all but what decode keeps at hand."""
        return self.decode_pages - self.kept_pages(self.decode_pages)

    def kept_pages(self, share: int) -> int:
        """Free pages that a worker of this share keeps at hand, rather than lend them."""
        return -(-share // KEPT_PART)
