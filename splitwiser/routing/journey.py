"""Owns a request under way: what its client has of it, and where it goes on after a loss."""

from dataclasses import dataclass, field

from splitwiser.routing.request import Outcome, PhaseTimes, RoutedRequest
from splitwiser.routing.token_stream import TokenStream
from splitwiser.rpc.deadline import Deadline
from splitwiser.v1 import prefill_pb2


@dataclass(slots=True)
class Journey:
    """A request under way: its tokens as they come and its times as they pass.

    cached_tokens: those of the prompt whose KV was there already when it was first prefilled; loaded_tokens: those of
    them whose KV came back from the host.
    """

    request: RoutedRequest
    deadline: Deadline
    tokens: TokenStream = field(default_factory=TokenStream)
    times: PhaseTimes = field(default_factory=PhaseTimes)
    cached_tokens: int = 0
    loaded_tokens: int = 0

    @property
    def first_index(self) -> int:
        """Number of the next token that prefill is to yield.

        Those that the client has, token 0 alone as well, go in with the prompt: drawn again they might be others.
        """
        return self.tokens.count

    def take_first(self, first: prefill_pb2.FirstToken) -> None:
        """Push prefill's token."""
        self.tokens.push(first.token_id, first.logprobs if first.HasField("logprobs") else None)

    def ended(self) -> Outcome | None:
        """How the request ended if its last token is there already, and only the answer was lost."""
        count = self.tokens.count
        reason = self.request.stop.reason(self.tokens.token_ids[-1], count) if count else None
        return Outcome(reason, count) if reason else None
