from splitwiser.v1 import kv_pb2 as _kv_pb2
from splitwiser.v1 import sampling_pb2 as _sampling_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DecodeRequest(_message.Message):
    __slots__ = ("request_id", "link_id", "stream_id", "promise", "sampling", "stop", "priority", "first_index", "earlier_token_ids", "prompt_token_ids")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    LINK_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    PROMISE_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    EARLIER_TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    link_id: str
    stream_id: int
    promise: _kv_pb2.KvPromise
    sampling: _sampling_pb2.SamplingParams
    stop: _sampling_pb2.StopConditions
    priority: int
    first_index: int
    earlier_token_ids: _containers.RepeatedScalarFieldContainer[int]
    prompt_token_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, request_id: _Optional[str] = ..., link_id: _Optional[str] = ..., stream_id: _Optional[int] = ..., promise: _Optional[_Union[_kv_pb2.KvPromise, _Mapping]] = ..., sampling: _Optional[_Union[_sampling_pb2.SamplingParams, _Mapping]] = ..., stop: _Optional[_Union[_sampling_pb2.StopConditions, _Mapping]] = ..., priority: _Optional[int] = ..., first_index: _Optional[int] = ..., earlier_token_ids: _Optional[_Iterable[int]] = ..., prompt_token_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class DecodeResponse(_message.Message):
    __slots__ = ("finish_reason", "tokens", "queue_ms", "claim_ms", "grant_to_first_step_ms", "decode_ms")
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_MS_FIELD_NUMBER: _ClassVar[int]
    CLAIM_MS_FIELD_NUMBER: _ClassVar[int]
    GRANT_TO_FIRST_STEP_MS_FIELD_NUMBER: _ClassVar[int]
    DECODE_MS_FIELD_NUMBER: _ClassVar[int]
    finish_reason: _sampling_pb2.FinishReason
    tokens: int
    queue_ms: float
    claim_ms: float
    grant_to_first_step_ms: float
    decode_ms: float
    def __init__(self, finish_reason: _Optional[_Union[_sampling_pb2.FinishReason, str]] = ..., tokens: _Optional[int] = ..., queue_ms: _Optional[float] = ..., claim_ms: _Optional[float] = ..., grant_to_first_step_ms: _Optional[float] = ..., decode_ms: _Optional[float] = ...) -> None: ...

class StreamStepsRequest(_message.Message):
    __slots__ = ("link_id",)
    LINK_ID_FIELD_NUMBER: _ClassVar[int]
    link_id: str
    def __init__(self, link_id: _Optional[str] = ...) -> None: ...

class StreamStepsResponse(_message.Message):
    __slots__ = ("stream_ids", "token_ids", "logprobs")
    STREAM_IDS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    stream_ids: _containers.RepeatedScalarFieldContainer[int]
    token_ids: _containers.RepeatedScalarFieldContainer[int]
    logprobs: _containers.RepeatedCompositeFieldContainer[StepLogprobs]
    def __init__(self, stream_ids: _Optional[_Iterable[int]] = ..., token_ids: _Optional[_Iterable[int]] = ..., logprobs: _Optional[_Iterable[_Union[StepLogprobs, _Mapping]]] = ...) -> None: ...

class StepLogprobs(_message.Message):
    __slots__ = ("place", "logprobs")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    place: int
    logprobs: _sampling_pb2.TokenLogprobs
    def __init__(self, place: _Optional[int] = ..., logprobs: _Optional[_Union[_sampling_pb2.TokenLogprobs, _Mapping]] = ...) -> None: ...
