"""Drawing tokens: within the parameters, in the model's proportions, and blind to the rest of the batch."""

from collections import Counter
from random import Random

import pytest
import torch

from splitwiser.engine.base import Sampling
from splitwiser.engine.transformers.sampling import sample

VOCABULARY = 50


def logits(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 2


def drawn(row: torch.Tensor, count: int, **parameters: float) -> Counter[int]:
    fields = {"temperature": 1.0, "top_p": 1.0, "top_k": 0} | parameters
    samplings = [Sampling(**fields, seed=seed) for seed in range(count)]  # type: ignore[arg-type]
    return Counter(sample(row.expand(count, -1), samplings, [3] * count))


def test_temperature_zero_takes_the_likeliest() -> None:
    rows = logits(5)
    assert sample(rows, [Sampling(0, 0.3, 7, 1)] * 5, [0] * 5) == rows.argmax(1).tolist()


def test_a_temperature_of_almost_zero_is_almost_greedy() -> None:
    rows = logits(5)
    for temperature in (1e-3, 1e-30, 5e-324):
        for top_k in (0, 3):
            assert sample(rows, [Sampling(temperature, 1, top_k, 1)] * 5, [0] * 5) == rows.argmax(1).tolist()


def test_tokens_come_as_often_as_the_model_says() -> None:
    row = logits(1)
    counts = drawn(row, 20000, temperature=1.5)
    expected = (row[0] / 1.5).softmax(0)
    shares = torch.tensor([counts[token] / 20000 for token in range(VOCABULARY)])
    assert (shares - expected).abs().max() < 0.012


@pytest.mark.parametrize("top_k", [1, 2, 7, VOCABULARY, VOCABULARY + 5])
def test_top_k_leaves_the_k_likeliest(top_k: int) -> None:
    row = logits(1)
    allowed = set(row[0].topk(min(top_k, VOCABULARY)).indices.tolist())
    assert set(drawn(row, 3000, top_k=top_k)) <= allowed
    assert len(drawn(row, 3000, top_k=top_k, temperature=50)) == min(top_k, VOCABULARY)


@pytest.mark.parametrize("top_p", [1e-9, 0.3, 0.8])
def test_top_p_leaves_the_fewest_that_reach_it(top_p: float) -> None:
    row = logits(1)
    ranked = row[0].double().softmax(0).sort(descending=True)
    count = int((ranked.values.cumsum(0) < top_p).sum()) + 1
    assert set(drawn(row, 5000, top_p=top_p)) == set(ranked.indices[:count].tolist())


def test_top_p_counts_what_top_k_left() -> None:
    row = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    assert set(drawn(row, 500, top_k=2, top_p=0.5)) == {0}
    assert set(drawn(row, 500, top_p=0.5)) == {0, 1}


def test_a_row_is_drawn_the_same_in_any_company() -> None:
    random = Random(0)
    rows = logits(64)
    samplings = [
        Sampling(random.choice([0, 0.7, 1.3]), random.choice([1, 0.9]), random.choice([0, 5]), seed)
        for seed in range(64)
    ]
    indices = [random.randrange(100) for _ in range(64)]
    together = sample(rows, samplings, indices)
    alone = [sample(rows[[n]], [samplings[n]], [indices[n]])[0] for n in range(64)]
    assert together == alone
    order = random.sample(range(64), 20)
    some = sample(rows[order], [samplings[n] for n in order], [indices[n] for n in order])
    assert some == [together[n] for n in order]


def test_index_and_seed_alone_move_the_draw() -> None:
    row = logits(1)
    fixed = Sampling(1, 1, 0, 9)
    assert sample(row, [fixed], [4]) == sample(row, [fixed], [4])
    assert len({sample(row, [fixed], [index])[0] for index in range(40)}) > 5


def test_no_row_that_samples_is_no_row_at_all() -> None:
    assert sample(torch.empty(0, VOCABULARY), [], []) == []
