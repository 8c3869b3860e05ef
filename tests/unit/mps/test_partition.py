"""A partition leaves both sides something, in units that the GPU hands out."""

import pytest

from splitwiser.errors import StartupError
from splitwiser.mps.partition import check_partition_of


@pytest.mark.parametrize("decode_sms", [8, 48, 128])
def test_whole_units_that_leave_something_are_taken(decode_sms: int) -> None:
    check_partition_of(132, decode_sms)


@pytest.mark.parametrize("decode_sms", [0, 4, 12, 132, 136])
def test_a_partition_that_leaves_a_side_nothing_or_breaks_a_unit_is_refused(decode_sms: int) -> None:
    with pytest.raises(StartupError, match=f"{decode_sms} multiprocessors of decode's own") as error:
        check_partition_of(132, decode_sms)
    assert "a multiple of 8 from 8 to 128" in str(error.value)
