"""Owns the names of spans and of their attributes.

gen_ai.* and error.type are OpenTelemetry's, splitwiser.* this project's.
"""

from typing import Final

# Router. REQUEST is the root: arrival to the last message.
REQUEST: Final = "request"
TOKENIZE: Final = "tokenize"
QUEUE: Final = "queue"
FINISH: Final = "finish"

# Prefill service. PREFILL is the call; LOAD is the way back of pages from the host, if there are any; one PREFILL_CHUNK
# is the request's part in one engine step.
PREFILL: Final = "prefill"
LOAD: Final = "load"
PREFILL_QUEUE: Final = "prefill_queue"
PREFILL_CHUNK: Final = "prefill_chunk"
GRANT: Final = "grant"

# Decode service. DECODE is the call; DECODE_STEPS runs from the end of the first step to the end of the last.
DECODE: Final = "decode"
DECODE_QUEUE: Final = "decode_queue"
CLAIM: Final = "claim"
FIRST_STEP: Final = "first_step"
DECODE_STEPS: Final = "decode_steps"

SERVER_SPANS: Final = frozenset({REQUEST, PREFILL, DECODE})
"""Spans that answer a call of another process; all others are internal."""

REQUEST_ID: Final = "splitwiser.request_id"
"""On every span."""
OUTCOME: Final = "splitwiser.outcome"
"""Of a root span: a finish reason (stop, length), `cancelled`, or the stable reason of an error."""
HANDOFF_MS: Final = "splitwiser.handoff_ms"
"""Of FIRST_STEP: grant to the end of the first decode step."""
GRANT_WAIT_MS: Final = "splitwiser.grant_wait_ms"
"""Of CLAIM: how long the grant waited until decode had reserved pages. 0 where the claim was there before the grant."""
EPOCH: Final = "splitwiser.epoch"
"""As text: an incarnation may exceed the 63 bits of an attribute."""
PAGES: Final = "splitwiser.pages"
TOKENS: Final = "splitwiser.tokens"
"""Tokens that a phase worked on."""
PRIORITY: Final = "splitwiser.priority"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
MODEL: Final = "gen_ai.request.model"
MAX_TOKENS: Final = "gen_ai.request.max_tokens"
TEMPERATURE: Final = "gen_ai.request.temperature"
TOP_P: Final = "gen_ai.request.top_p"
TOP_K: Final = "gen_ai.request.top_k"
SEED: Final = "gen_ai.request.seed"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
TTFT_S: Final = "gen_ai.response.time_to_first_chunk"
"""Arrival at the router to the first token leaving it, in seconds."""
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
"""Content: only where telemetry.record_content is on."""
ERROR_TYPE: Final = "error.type"

CANCELLED: Final = "cancelled"
"""The outcome of a request whose caller left."""
