"""Owns whose blocks vLLM's scheduler computes on: it has none of its own, every request comes with its pages.

vLLM calls a page a block. Block 0 is vLLM's own, for what must be written somewhere and is never read; so page p of the
ledger is block p + SCRATCH_PAGES. A request has the blocks of a step before that is scheduled: vLLM allocates nothing,
and therefore never preempts and never frees a block to somebody else.
"""

from collections.abc import Sequence
from typing import Any

from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request, RequestStatus

from splitwiser.engine.vllm.grammar import is_bad

SCRATCH_PAGES = 1


class LentScheduler(Scheduler):
    """vLLM's scheduler over lent blocks. The lender keeps a reference to each, so none enters vLLM's free queue."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Blocks count as used until every step that may write to them is over, also when steps overlap.
        self.defer_block_free = True
        self._pool = self.kv_cache_manager.block_pool
        self._pool.get_new_blocks(self._pool.get_num_free_blocks())
        (self._manager,) = self.kv_cache_manager.coordinator.single_type_managers
        self._lent: dict[str, list[Any]] = {}
        self._grown: dict[str, list[Any]] = {}
        self._ended: list[str] = []
        self._allocate = self.kv_cache_manager.allocate_slots
        self.kv_cache_manager.allocate_slots = self._tell_grown
        self.step_tokens: dict[str, int] = {}

    def admit(self, request: Request, pages: Sequence[int], computed_tokens: int) -> None:
        """Take a request in. pages: room for all its tokens; the KV of the first computed_tokens is in them already."""
        blocks = self._borrow(pages)
        self._lent[request.request_id] = blocks
        self._manager.req_to_blocks[request.request_id] = list(blocks)
        # As of a request whose KV a connector has brought: it goes on with the first token that has none.
        request.num_computed_tokens = computed_tokens
        self.add_request(request)

    def grow(self, request_id: str, pages: Sequence[int]) -> None:
        """Room for more of a request's tokens, after what it has."""
        if request_id not in self.requests:
            return
        blocks = self._borrow(pages)
        self._lent[request_id] += blocks
        self._manager.req_to_blocks[request_id] += blocks
        self._grown.setdefault(request_id, []).extend(blocks)

    def take_returned(self) -> list[str]:
        """Requests that ended and whose blocks no step uses any more, each told once."""
        returned = [name for name in self._ended if self._lent[name][-1].ref_cnt == 1]
        for name in returned:
            self._ended.remove(name)
            del self._lent[name]
        return returned

    def update_from_output(self, scheduler_output: SchedulerOutput, model_runner_output: Any) -> Any:
        """vLLM's own, after a step; step_tokens then has the tokens of each request that the step put in."""
        self.step_tokens = scheduler_output.num_scheduled_tokens
        return super().update_from_output(scheduler_output, model_runner_output)

    def _borrow(self, pages: Sequence[int]) -> list[Any]:
        blocks = [self._pool.blocks[page + SCRATCH_PAGES] for page in pages]
        # The last one is the request's own; those before it, full already, others may read too.
        assert blocks[-1].ref_cnt == 1, pages
        for block in blocks:
            block.ref_cnt += 1
        return blocks

    def _tell_grown(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """In place of allocate_slots, which finds enough blocks: name those that the runner does not know yet."""
        allocated = self._allocate(request, *args, **kwargs)
        blocks = self._grown.pop(request.request_id, None)
        return self.kv_cache_manager.create_kv_cache_blocks((blocks,)) if blocks else allocated

    def _update_request_with_output(
        self, request: Request, new_token_ids: list[int], is_stale: bool = False
    ) -> tuple[list[int], bool]:
        """vLLM's own; a bad word ends a request with a grammar as a token does that the grammar refuses."""
        token_ids, stopped = super()._update_request_with_output(request, new_token_ids, is_stale=is_stale)
        if request.use_structured_output and is_bad(request):
            request.status = RequestStatus.FINISHED_ERROR
            stopped = True
        return token_ids, stopped

    def _free_blocks(self, request: Request) -> None:
        super()._free_blocks(request)
        self._grown.pop(request.request_id, None)
        self._ended.append(request.request_id)


class AsyncLentScheduler(LentScheduler, AsyncScheduler):
    """The same over vLLM's asynchronous scheduling: a step is scheduled while the one before it still runs."""
