from splitwiser.v1 import kv_pb2 as _kv_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_PREFILL: _ClassVar[Role]
    ROLE_DECODE: _ClassVar[Role]
    ROLE_OBSERVER: _ClassVar[Role]
ROLE_UNSPECIFIED: Role
ROLE_PREFILL: Role
ROLE_DECODE: Role
ROLE_OBSERVER: Role

class StoreRequest(_message.Message):
    __slots__ = ("call_id", "attach", "beat", "obtain_segment", "publish_segment", "acquire_pages", "release_pages", "grant_pages", "claim_pages", "withdraw_grant", "read_counts", "look_up_prefix", "forget_prefix", "share_prompt", "share_answer", "recall_pages", "promise_grant", "leave_claim", "prefix_loaded", "save_pages", "pages_saved", "tell_pace", "await_pace")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    ATTACH_FIELD_NUMBER: _ClassVar[int]
    BEAT_FIELD_NUMBER: _ClassVar[int]
    OBTAIN_SEGMENT_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_SEGMENT_FIELD_NUMBER: _ClassVar[int]
    ACQUIRE_PAGES_FIELD_NUMBER: _ClassVar[int]
    RELEASE_PAGES_FIELD_NUMBER: _ClassVar[int]
    GRANT_PAGES_FIELD_NUMBER: _ClassVar[int]
    CLAIM_PAGES_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_GRANT_FIELD_NUMBER: _ClassVar[int]
    READ_COUNTS_FIELD_NUMBER: _ClassVar[int]
    LOOK_UP_PREFIX_FIELD_NUMBER: _ClassVar[int]
    FORGET_PREFIX_FIELD_NUMBER: _ClassVar[int]
    SHARE_PROMPT_FIELD_NUMBER: _ClassVar[int]
    SHARE_ANSWER_FIELD_NUMBER: _ClassVar[int]
    RECALL_PAGES_FIELD_NUMBER: _ClassVar[int]
    PROMISE_GRANT_FIELD_NUMBER: _ClassVar[int]
    LEAVE_CLAIM_FIELD_NUMBER: _ClassVar[int]
    PREFIX_LOADED_FIELD_NUMBER: _ClassVar[int]
    SAVE_PAGES_FIELD_NUMBER: _ClassVar[int]
    PAGES_SAVED_FIELD_NUMBER: _ClassVar[int]
    TELL_PACE_FIELD_NUMBER: _ClassVar[int]
    AWAIT_PACE_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    attach: Attach
    beat: Beat
    obtain_segment: ObtainSegment
    publish_segment: PublishSegment
    acquire_pages: AcquirePages
    release_pages: ReleasePages
    grant_pages: GrantPages
    claim_pages: ClaimPages
    withdraw_grant: WithdrawGrant
    read_counts: ReadCounts
    look_up_prefix: LookUpPrefix
    forget_prefix: ForgetPrefix
    share_prompt: SharePrompt
    share_answer: ShareAnswer
    recall_pages: RecallPages
    promise_grant: PromiseGrant
    leave_claim: LeaveClaim
    prefix_loaded: PrefixLoaded
    save_pages: SavePages
    pages_saved: PagesSaved
    tell_pace: TellPace
    await_pace: AwaitPace
    def __init__(self, call_id: _Optional[int] = ..., attach: _Optional[_Union[Attach, _Mapping]] = ..., beat: _Optional[_Union[Beat, _Mapping]] = ..., obtain_segment: _Optional[_Union[ObtainSegment, _Mapping]] = ..., publish_segment: _Optional[_Union[PublishSegment, _Mapping]] = ..., acquire_pages: _Optional[_Union[AcquirePages, _Mapping]] = ..., release_pages: _Optional[_Union[ReleasePages, _Mapping]] = ..., grant_pages: _Optional[_Union[GrantPages, _Mapping]] = ..., claim_pages: _Optional[_Union[ClaimPages, _Mapping]] = ..., withdraw_grant: _Optional[_Union[WithdrawGrant, _Mapping]] = ..., read_counts: _Optional[_Union[ReadCounts, _Mapping]] = ..., look_up_prefix: _Optional[_Union[LookUpPrefix, _Mapping]] = ..., forget_prefix: _Optional[_Union[ForgetPrefix, _Mapping]] = ..., share_prompt: _Optional[_Union[SharePrompt, _Mapping]] = ..., share_answer: _Optional[_Union[ShareAnswer, _Mapping]] = ..., recall_pages: _Optional[_Union[RecallPages, _Mapping]] = ..., promise_grant: _Optional[_Union[PromiseGrant, _Mapping]] = ..., leave_claim: _Optional[_Union[LeaveClaim, _Mapping]] = ..., prefix_loaded: _Optional[_Union[PrefixLoaded, _Mapping]] = ..., save_pages: _Optional[_Union[SavePages, _Mapping]] = ..., pages_saved: _Optional[_Union[PagesSaved, _Mapping]] = ..., tell_pace: _Optional[_Union[TellPace, _Mapping]] = ..., await_pace: _Optional[_Union[AwaitPace, _Mapping]] = ...) -> None: ...

class Attach(_message.Message):
    __slots__ = ("role", "name", "version")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    role: Role
    name: str
    version: str
    def __init__(self, role: _Optional[_Union[Role, str]] = ..., name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class Beat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ObtainSegment(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class PublishSegment(_message.Message):
    __slots__ = ("name", "size_bytes", "pages", "layout_hash")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_HASH_FIELD_NUMBER: _ClassVar[int]
    name: str
    size_bytes: int
    pages: int
    layout_hash: str
    def __init__(self, name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., pages: _Optional[int] = ..., layout_hash: _Optional[str] = ...) -> None: ...

class AcquirePages(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class ReleasePages(_message.Message):
    __slots__ = ("pages",)
    PAGES_FIELD_NUMBER: _ClassVar[int]
    pages: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, pages: _Optional[_Iterable[int]] = ...) -> None: ...

class PromiseGrant(_message.Message):
    __slots__ = ("handle_id",)
    HANDLE_ID_FIELD_NUMBER: _ClassVar[int]
    handle_id: str
    def __init__(self, handle_id: _Optional[str] = ...) -> None: ...

class GrantPages(_message.Message):
    __slots__ = ("handle_id", "pages", "tokens", "layout_hash", "epoch", "next_token_id")
    HANDLE_ID_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_HASH_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NEXT_TOKEN_ID_FIELD_NUMBER: _ClassVar[int]
    handle_id: str
    pages: _containers.RepeatedScalarFieldContainer[int]
    tokens: int
    layout_hash: str
    epoch: _kv_pb2.Epoch
    next_token_id: int
    def __init__(self, handle_id: _Optional[str] = ..., pages: _Optional[_Iterable[int]] = ..., tokens: _Optional[int] = ..., layout_hash: _Optional[str] = ..., epoch: _Optional[_Union[_kv_pb2.Epoch, _Mapping]] = ..., next_token_id: _Optional[int] = ...) -> None: ...

class ClaimPages(_message.Message):
    __slots__ = ("handle_id", "epoch", "give", "layout_hash")
    HANDLE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    GIVE_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_HASH_FIELD_NUMBER: _ClassVar[int]
    handle_id: str
    epoch: _kv_pb2.Epoch
    give: _containers.RepeatedScalarFieldContainer[int]
    layout_hash: str
    def __init__(self, handle_id: _Optional[str] = ..., epoch: _Optional[_Union[_kv_pb2.Epoch, _Mapping]] = ..., give: _Optional[_Iterable[int]] = ..., layout_hash: _Optional[str] = ...) -> None: ...

class LeaveClaim(_message.Message):
    __slots__ = ("handle_id", "epoch")
    HANDLE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    handle_id: str
    epoch: _kv_pb2.Epoch
    def __init__(self, handle_id: _Optional[str] = ..., epoch: _Optional[_Union[_kv_pb2.Epoch, _Mapping]] = ...) -> None: ...

class WithdrawGrant(_message.Message):
    __slots__ = ("handle_id", "epoch")
    HANDLE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    handle_id: str
    epoch: _kv_pb2.Epoch
    def __init__(self, handle_id: _Optional[str] = ..., epoch: _Optional[_Union[_kv_pb2.Epoch, _Mapping]] = ...) -> None: ...

class ReadCounts(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LookUpPrefix(_message.Message):
    __slots__ = ("handle_id", "parent", "hashes", "tail", "limit", "need", "due")
    HANDLE_ID_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    HASHES_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    NEED_FIELD_NUMBER: _ClassVar[int]
    DUE_FIELD_NUMBER: _ClassVar[int]
    handle_id: str
    parent: bytes
    hashes: bytes
    tail: _containers.RepeatedScalarFieldContainer[int]
    limit: int
    need: int
    due: int
    def __init__(self, handle_id: _Optional[str] = ..., parent: _Optional[bytes] = ..., hashes: _Optional[bytes] = ..., tail: _Optional[_Iterable[int]] = ..., limit: _Optional[int] = ..., need: _Optional[int] = ..., due: _Optional[int] = ...) -> None: ...

class ForgetPrefix(_message.Message):
    __slots__ = ("handle_id",)
    HANDLE_ID_FIELD_NUMBER: _ClassVar[int]
    handle_id: str
    def __init__(self, handle_id: _Optional[str] = ...) -> None: ...

class PrefixLoaded(_message.Message):
    __slots__ = ("handle_id",)
    HANDLE_ID_FIELD_NUMBER: _ClassVar[int]
    handle_id: str
    def __init__(self, handle_id: _Optional[str] = ...) -> None: ...

class SavePages(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class PagesSaved(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SharePrompt(_message.Message):
    __slots__ = ("handle_id", "epoch")
    HANDLE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    handle_id: str
    epoch: _kv_pb2.Epoch
    def __init__(self, handle_id: _Optional[str] = ..., epoch: _Optional[_Union[_kv_pb2.Epoch, _Mapping]] = ...) -> None: ...

class ShareAnswer(_message.Message):
    __slots__ = ("handle_id", "epoch", "pages", "hashes")
    HANDLE_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    HASHES_FIELD_NUMBER: _ClassVar[int]
    handle_id: str
    epoch: _kv_pb2.Epoch
    pages: _containers.RepeatedScalarFieldContainer[int]
    hashes: bytes
    def __init__(self, handle_id: _Optional[str] = ..., epoch: _Optional[_Union[_kv_pb2.Epoch, _Mapping]] = ..., pages: _Optional[_Iterable[int]] = ..., hashes: _Optional[bytes] = ...) -> None: ...

class RecallPages(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class TellPace(_message.Message):
    __slots__ = ("behind",)
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    behind: bool
    def __init__(self, behind: _Optional[bool] = ...) -> None: ...

class AwaitPace(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StoreReply(_message.Message):
    __slots__ = ("call_id", "attached", "done", "failure", "segment", "pages", "granted", "counts", "grant_claimed", "shared", "claimed", "promised")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    GRANT_CLAIMED_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    CLAIMED_FIELD_NUMBER: _ClassVar[int]
    PROMISED_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    attached: Attached
    done: Done
    failure: Failure
    segment: Segment
    pages: Pages
    granted: _kv_pb2.KvHandle
    counts: Counts
    grant_claimed: GrantClaimed
    shared: Shared
    claimed: _kv_pb2.KvHandle
    promised: _kv_pb2.Epoch
    def __init__(self, call_id: _Optional[int] = ..., attached: _Optional[_Union[Attached, _Mapping]] = ..., done: _Optional[_Union[Done, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., segment: _Optional[_Union[Segment, _Mapping]] = ..., pages: _Optional[_Union[Pages, _Mapping]] = ..., granted: _Optional[_Union[_kv_pb2.KvHandle, _Mapping]] = ..., counts: _Optional[_Union[Counts, _Mapping]] = ..., grant_claimed: _Optional[_Union[GrantClaimed, _Mapping]] = ..., shared: _Optional[_Union[Shared, _Mapping]] = ..., claimed: _Optional[_Union[_kv_pb2.KvHandle, _Mapping]] = ..., promised: _Optional[_Union[_kv_pb2.Epoch, _Mapping]] = ...) -> None: ...

class Attached(_message.Message):
    __slots__ = ("store", "incarnation", "lease_seconds")
    STORE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    LEASE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    store: str
    incarnation: int
    lease_seconds: float
    def __init__(self, store: _Optional[str] = ..., incarnation: _Optional[int] = ..., lease_seconds: _Optional[float] = ...) -> None: ...

class Done(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Failure(_message.Message):
    __slots__ = ("reason", "message", "help")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HELP_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    help: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., help: _Optional[str] = ...) -> None: ...

class Segment(_message.Message):
    __slots__ = ("present", "size_bytes", "layout_hash")
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_HASH_FIELD_NUMBER: _ClassVar[int]
    present: bool
    size_bytes: int
    layout_hash: str
    def __init__(self, present: _Optional[bool] = ..., size_bytes: _Optional[int] = ..., layout_hash: _Optional[str] = ...) -> None: ...

class Pages(_message.Message):
    __slots__ = ("pages", "host_pages")
    PAGES_FIELD_NUMBER: _ClassVar[int]
    HOST_PAGES_FIELD_NUMBER: _ClassVar[int]
    pages: _containers.RepeatedScalarFieldContainer[int]
    host_pages: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, pages: _Optional[_Iterable[int]] = ..., host_pages: _Optional[_Iterable[int]] = ...) -> None: ...

class Shared(_message.Message):
    __slots__ = ("pages", "parent", "tail")
    PAGES_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    pages: _containers.RepeatedScalarFieldContainer[int]
    parent: bytes
    tail: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, pages: _Optional[_Iterable[int]] = ..., parent: _Optional[bytes] = ..., tail: _Optional[_Iterable[int]] = ...) -> None: ...

class GrantClaimed(_message.Message):
    __slots__ = ("handle_id", "pages", "epoch")
    HANDLE_ID_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    handle_id: str
    pages: _containers.RepeatedScalarFieldContainer[int]
    epoch: _kv_pb2.Epoch
    def __init__(self, handle_id: _Optional[str] = ..., pages: _Optional[_Iterable[int]] = ..., epoch: _Optional[_Union[_kv_pb2.Epoch, _Mapping]] = ...) -> None: ...

class Counts(_message.Message):
    __slots__ = ("total", "free", "prefill", "granted", "decode", "grants", "claims", "refusals", "cached", "shared")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    PREFILL_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    DECODE_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    total: int
    free: int
    prefill: int
    granted: int
    decode: int
    grants: int
    claims: int
    refusals: int
    cached: int
    shared: int
    def __init__(self, total: _Optional[int] = ..., free: _Optional[int] = ..., prefill: _Optional[int] = ..., granted: _Optional[int] = ..., decode: _Optional[int] = ..., grants: _Optional[int] = ..., claims: _Optional[int] = ..., refusals: _Optional[int] = ..., cached: _Optional[int] = ..., shared: _Optional[int] = ...) -> None: ...
