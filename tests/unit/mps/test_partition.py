"""Decode has the first multiprocessors and prefill the last, in units that the GPU hands out."""

import pytest

from splitwiser.errors import StartupError
from splitwiser.mps.partition import Side, first_part


@pytest.mark.parametrize("decode_sms", [8, 48, 128])
def test_what_adds_up_to_the_gpu_is_split_in_one_place(decode_sms: int) -> None:
    assert first_part("decode", decode_sms, 132) == first_part("prefill", 132 - decode_sms, 132) == decode_sms


@pytest.mark.parametrize("sms", range(4, 125))
def test_prefill_never_has_more_than_was_asked_and_at_most_seven_fewer(sms: int) -> None:
    assert 0 <= sms - (132 - first_part("prefill", sms, 132)) < 8


@pytest.mark.parametrize(
    ("side", "sms", "remedy"),
    [("decode", sms, "a multiple of 8 from 8 to 128, or 0") for sms in (0, 4, 12, 132, 136)]
    + [("prefill", sms, "4 to 131, or 0") for sms in (0, 3, 132, 200)],
)
def test_a_part_that_leaves_nothing_or_breaks_a_unit_is_refused(side: Side, sms: int, remedy: str) -> None:
    with pytest.raises(StartupError, match=f"{sms} of this GPU's 132 multi") as error:
        first_part(side, sms, 132)
    assert remedy in str(error.value)
    assert error.value.field == f"gpu.{side}_sms"
