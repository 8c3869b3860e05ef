"""What callers of splitwiser.v1 rely on: names of services and methods, zero values, and code that loads."""

from types import ModuleType

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import EnumDescriptor, FileDescriptor

from splitwiser.v1 import (
    decode_pb2,
    decode_pb2_grpc,
    inference_pb2,
    inference_pb2_grpc,
    kv_pb2,
    prefill_pb2,
    prefill_pb2_grpc,
    sampling_pb2,
    store_pb2,
)

FILES: list[FileDescriptor] = [
    module.DESCRIPTOR for module in (decode_pb2, inference_pb2, kv_pb2, prefill_pb2, sampling_pb2, store_pb2)
]
ENUMS: list[EnumDescriptor] = [enum for file in FILES for enum in file.enum_types_by_name.values()]
# Method: whether its answer is a stream.
METHODS = {
    "splitwiser.v1.InferenceService.Generate": True,
    "splitwiser.v1.InferenceService.GetModel": False,
    "splitwiser.v1.InferenceService.Tokenize": False,
    "splitwiser.v1.PrefillService.Prefill": True,
    "splitwiser.v1.DecodeService.Decode": False,
    "splitwiser.v1.DecodeService.StreamSteps": True,
}


def test_services_have_the_methods_that_callers_know() -> None:
    services = [service for file in FILES for service in file.services_by_name.values()]
    found = {method.full_name: method.server_streaming for service in services for method in service.methods}
    assert found == METHODS


def test_no_caller_streams_its_request() -> None:
    services = [service for file in FILES for service in file.services_by_name.values()]
    assert not any(method.client_streaming for service in services for method in service.methods)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_is_of_the_one_versioned_package(file: FileDescriptor) -> None:
    assert file.package == "splitwiser.v1"


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.full_name)
def test_an_enum_that_was_not_set_reads_as_unspecified(enum: EnumDescriptor) -> None:
    assert enum.values_by_number[0].name.endswith("_UNSPECIFIED")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (decode_pb2_grpc, "DecodeService"),
        (inference_pb2_grpc, "InferenceService"),
        (prefill_pb2_grpc, "PrefillService"),
    ],
)
def test_generated_code_has_stub_and_servicer(module: ModuleType, name: str) -> None:
    assert hasattr(module, f"{name}Stub")
    assert hasattr(module, f"{name}Servicer")


def test_a_request_says_whether_its_sampling_values_were_set() -> None:
    """Temperature 0 is greedy and unset is 1: the wire must keep them apart."""
    sampling = sampling_pb2.SamplingParams(temperature=0)
    assert sampling.HasField("temperature")
    assert not sampling.HasField("seed")


def test_reflection_finds_the_services() -> None:
    pool = descriptor_pool.Default()
    for name in METHODS:
        assert pool.FindMethodByName(name).full_name == name
