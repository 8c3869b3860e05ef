"""The proof at load time: a model that computes something else over pages is not served."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from splitwiser.engine.transformers.interface import choose_interface
from splitwiser.engine.transformers.library import load_model
from splitwiser.engine.transformers.pool import LayerPool
from splitwiser.engine.transformers.self_check import check
from splitwiser.errors import StartupError


@pytest.fixture
def model(tiny_model: Callable[[str], Path]) -> PreTrainedModel:
    return load_model(str(tiny_model("llama")), "float32")


def test_the_attention_interface_comes_first(model: PreTrainedModel) -> None:
    assert choose_interface(model).kind == "attention"


def test_a_model_that_takes_no_attention_of_others_goes_through_its_cache(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(model), "_can_set_attn_implementation", classmethod(lambda cls: False))
    assert choose_interface(model).kind == "cache"


def test_one_wrong_key_is_noticed(model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    write = LayerPool.write

    def forgetful(self: LayerPool, slots: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> None:
        write(self, slots, key, value)
        self.keys.flatten(0, 1)[slots[0]] = 0

    monkeypatch.setattr(LayerPool, "write", forgetful)
    with pytest.raises(StartupError, match=r"attention interface: .* differ by .*cache interface: "):
        choose_interface(model)


def test_a_logit_that_is_no_number_is_noticed() -> None:
    with pytest.raises(NotImplementedError):
        check(torch.randn(5), torch.full((5,), torch.nan))


def test_rounding_is_not_taken_for_a_wrong_key() -> None:
    logits = torch.randn(1000)
    check(logits, logits * (1 + torch.finfo(torch.float32).eps))
    check(logits.bfloat16(), logits.bfloat16() * (1 + torch.finfo(torch.bfloat16).eps))
