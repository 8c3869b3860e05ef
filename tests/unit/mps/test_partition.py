"""Both sides of a partition together have every unit once, and neither has none."""

import pytest

from splitwiser.errors import StartupError
from splitwiser.mps.partition import UNIT_SMS, part

UNITS = range(16)
"""Of a GPU with 132 multiprocessors; the 4 that make no unit stay idle."""


@pytest.mark.parametrize("decode_sms", range(UNIT_SMS, 16 * UNIT_SMS, UNIT_SMS))
def test_no_multiprocessor_is_of_both_sides_or_of_none(decode_sms: int) -> None:
    decode, prefill = part(UNITS, "decode", decode_sms), part(UNITS, "prefill", decode_sms)
    assert len(decode) * UNIT_SMS == decode_sms
    assert sorted([*decode, *prefill]) == list(UNITS)


@pytest.mark.parametrize("decode_sms", [0, 4, 12, 128, 136])
def test_a_partition_that_leaves_a_side_nothing_or_breaks_a_unit_is_refused(decode_sms: int) -> None:
    with pytest.raises(StartupError, match=f"{decode_sms} multiprocessors of decode's own") as error:
        part(UNITS, "prefill", decode_sms)
    assert "a multiple of 8 from 8 to 120" in str(error.value)
