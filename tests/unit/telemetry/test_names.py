"""Names that other tools know must be spelled as they know them."""

from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE

from splitwiser.telemetry import names


def test_gen_ai_and_error_attributes_are_opentelemetrys_own():
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")} | {ERROR_TYPE}
    ours = {
        value for value in vars(names).values() if isinstance(value, str) and value.startswith(("gen_ai.", "error."))
    }
    assert ours <= known
    assert len(ours) > 10


def test_no_two_spans_share_a_name():
    spans = [
        value for name, value in vars(names).items() if isinstance(value, str) and "." not in value and name.isupper()
    ]
    assert len(spans) == len(set(spans))
