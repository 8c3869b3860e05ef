"""Owns the grammars of structured outputs: compiled before a request enters the engine, and brought to where it stands.

vLLM compiles while a request waits in its scheduler, and always from the beginning. Here a request's grammar crosses
the hand-off: decode's one has taken token 0 in before it masks its first step.

And the end of a request whose bad_words leave no token that its grammar allows: vLLM then draws one that is masked.
"""

import asyncio
import re
from threading import Lock

from vllm.config import VllmConfig
from vllm.exceptions import VLLMValidationError
from vllm.tokenizers import get_tokenizer
from vllm.v1.request import Request, RequestStatus
from vllm.v1.structured_output import StructuredOutputManager
from vllm.v1.structured_output.backend_types import StructuredOutputGrammar
from vllm.v1.structured_output.backend_xgrammar import XgrammarBackend, validate_xgrammar_grammar

from splitwiser.errors import InvalidRequest

_XGRAMMARS_OWN_PLACE = re.compile(r"\[[\d:]+\] \S+:\d+: ")


class Grammars:
    """Of one engine. manager: vLLM's, which masks by the grammars that requests bring."""

    def __init__(self, config: VllmConfig, manager: StructuredOutputManager) -> None:
        self._config = config
        self._manager = manager
        self._making = Lock()

    async def prepare(self, request: Request) -> None:
        """Give the request its grammar, if it wants one; it then stands after the output that the request has.

        Raises InvalidRequest for what is no schema, regex or grammar that xgrammar knows.
        """
        if request.structured_output_request is None:
            return
        grammar = await asyncio.to_thread(self._compile, request)
        request.structured_output_request.grammar = grammar
        # Nothing is left to wait for.
        request.status = RequestStatus.WAITING

    def _compile(self, request: Request) -> StructuredOutputGrammar:
        wanted, params = request.structured_output_request, request.sampling_params
        assert wanted is not None
        assert params is not None
        try:
            validate_xgrammar_grammar(params)
            kind, spec = wanted.structured_output_key
            backend = self._backend()
            grammar: StructuredOutputGrammar = backend.compile_grammar(kind, spec, params.all_stop_token_ids)
        except (VLLMValidationError, ValueError, RuntimeError) as error:
            cause = f"cannot be kept to: {_XGRAMMARS_OWN_PLACE.sub('', str(error)).strip()}"
            remedy = "correct it, or simplify it: xgrammar takes most of JSON schema, and EBNF or Lark"
            raise InvalidRequest(cause, field="sampling.structured_output", help=remedy) from None
        accepted = grammar.accept_tokens(request.request_id, list(request.output_token_ids))
        assert accepted, "these tokens were drawn under the same grammar"
        return grammar

    def _backend(self) -> XgrammarBackend:
        with self._making:
            if self._manager.backend is None:
                model = self._config.model_config
                # The engine runs without a tokenizer, which takes a moment to load: this is its only use.
                tokenizer = get_tokenizer(model.tokenizer, tokenizer_mode=model.tokenizer_mode)
                self._manager.backend = XgrammarBackend(
                    self._config, tokenizer=tokenizer, vocab_size=model.get_vocab_size()
                )
            return self._manager.backend


def is_bad(request: Request) -> bool:
    """Whether the token that was drawn last ends one of bad_words: they had left no other that its grammar allows."""
    output, params = request.output_token_ids, request.sampling_params
    return any(output[-len(word) :] == word for word in (params and params.bad_words_token_ids) or ())


def contradiction() -> InvalidRequest:
    """What a request ends with that drew a bad word, or a token that its grammar refused: nothing else was left."""
    return InvalidRequest(
        "bad_words forbid every token that it allows next",
        field="sampling.structured_output",
        help="give up bad_words, or let the structured output go on without them",
    )
