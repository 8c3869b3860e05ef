"""Owns the check that a call of decode has the tokens that it must go by: their KV says nothing of their ids."""

from splitwiser.engine.base import Sampling, StopRule
from splitwiser.errors import InvalidRequest
from splitwiser.v1 import decode_pb2


def check_tokens(request: decode_pb2.DecodeRequest, tokens: int, stop: StopRule, sampling: Sampling) -> None:
    """tokens: whose KV is promised. Raises InvalidRequest."""
    first, prompt = request.first_index, len(request.prompt_token_ids)
    if first + 1 >= stop.max_tokens or first >= tokens:
        raise InvalidRequest("out of range", field="first_index", help="only decode what goes on")
    # A router of before penalties sends none, and asks for nothing that goes by them.
    if len(request.earlier_token_ids) not in (0, first):
        raise InvalidRequest("not first_index tokens", field="earlier_token_ids", help="call through the router")
    if prompt != tokens - first and (prompt or sampling.counts_prompt):
        raise InvalidRequest("not the promised prompt", field="prompt_token_ids", help="call through the router")
