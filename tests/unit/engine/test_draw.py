"""Random numbers that both phases agree on."""

from splitwiser.engine.draw import uniform


def test_a_number_depends_on_seed_and_index_alone() -> None:
    assert uniform(5, 9) == uniform(5, 9)
    assert len({uniform(seed, index) for seed in range(50) for index in range(50)}) == 2500


def test_numbers_fill_the_unit_interval_evenly() -> None:
    numbers = [uniform(2**64 - 1, index) for index in range(4000)]
    assert min(numbers) >= 0.0
    assert max(numbers) < 1.0
    assert all(350 < sum(1 for number in numbers if int(number * 10) == tenth) < 450 for tenth in range(10))
