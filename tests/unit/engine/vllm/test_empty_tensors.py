"""A model that is built without memory for its weights: large tensors are one element, small ones are as ever."""

import pytest
import torch

from splitwiser.engine.vllm.empty_tensors import EmptyTensors, takes_no_memory

LARGE = (1024, 1024)


def test_large_tensors_take_no_memory_and_small_ones_are_real() -> None:
    with EmptyTensors(), torch.device("cpu"):
        large, small = torch.empty(*LARGE, dtype=torch.bfloat16), torch.empty(8, 8)
        zeros = torch.zeros(LARGE)
    assert (large.shape, large.dtype, large.untyped_storage().nbytes()) == (LARGE, torch.bfloat16, 2)
    assert takes_no_memory(large)
    assert small.is_contiguous()
    assert zeros.is_contiguous()
    assert not takes_no_memory(zeros)


def test_modules_with_initial_values_can_be_built() -> None:
    with EmptyTensors():
        embedding, linear = torch.nn.Embedding(2048, 512, padding_idx=1), torch.nn.Linear(1024, 1024)
    assert takes_no_memory(embedding.weight)
    assert takes_no_memory(linear.weight)
    assert linear.bias.isfinite().all()


def test_a_parameter_takes_the_memory_that_it_gets_later() -> None:
    with EmptyTensors():
        linear = torch.nn.Linear(1024, 1024, bias=False)
    linear.weight.data = torch.ones(LARGE)
    assert linear(torch.ones(1, 1024)).eq(1024).all()


def test_once_stopped_tensors_are_real() -> None:
    with EmptyTensors() as empty_tensors:
        empty_tensors.stop()
        assert torch.empty(LARGE).is_contiguous()


def test_writing_to_one_from_outside_is_an_error() -> None:
    with EmptyTensors():
        large = torch.empty(LARGE)
    with pytest.raises(RuntimeError, match="single memory location"):
        large.copy_(torch.ones(LARGE))
