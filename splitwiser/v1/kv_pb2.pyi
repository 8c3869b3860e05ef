from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Epoch(_message.Message):
    __slots__ = ("incarnation", "counter")
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    incarnation: int
    counter: int
    def __init__(self, incarnation: _Optional[int] = ..., counter: _Optional[int] = ...) -> None: ...

class KvHandle(_message.Message):
    __slots__ = ("store", "handle_id", "epoch", "pages", "tokens", "layout_hash", "granted_monotonic_ns", "shared", "next_token_id")
    STORE_FIELD_NUMBER: _ClassVar[int]
    HANDLE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_HASH_FIELD_NUMBER: _ClassVar[int]
    GRANTED_MONOTONIC_NS_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    NEXT_TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    store: str
    handle_id: str
    epoch: Epoch
    pages: _containers.RepeatedScalarFieldContainer[int]
    tokens: int
    layout_hash: str
    granted_monotonic_ns: int
    shared: _containers.RepeatedScalarFieldContainer[int]
    next_token_id: int
    def __init__(self, store: _Optional[str] = ..., handle_id: _Optional[str] = ..., epoch: _Optional[_Union[Epoch, _Mapping]] = ..., pages: _Optional[_Iterable[int]] = ..., tokens: _Optional[int] = ..., layout_hash: _Optional[str] = ..., granted_monotonic_ns: _Optional[int] = ..., shared: _Optional[_Iterable[int]] = ..., next_token_id: _Optional[int] = ...) -> None: ...

class KvPromise(_message.Message):
    __slots__ = ("handle_id", "epoch", "pages", "shared", "tokens", "layout_hash")
    HANDLE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_HASH_FIELD_NUMBER: _ClassVar[int]
    handle_id: str
    epoch: Epoch
    pages: int
    shared: int
    tokens: int
    layout_hash: str
    def __init__(self, handle_id: _Optional[str] = ..., epoch: _Optional[_Union[Epoch, _Mapping]] = ..., pages: _Optional[int] = ..., shared: _Optional[int] = ..., tokens: _Optional[int] = ..., layout_hash: _Optional[str] = ...) -> None: ...
