"""Owns the reading of requests off the wire: what protobuf cannot parse becomes an error that names the field.

Without this, gRPC answers a string that is not UTF-8 with INTERNAL and no word about which field it was.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from splitwiser.errors import InvalidRequest

STRING = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
BYTES = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES


def tolerant(kind: type[message.Message]) -> Callable[[bytes], message.Message | InvalidRequest]:
    """A deserializer that returns the error in place of the message, for the call's handler to raise."""

    def deserialize(data: bytes) -> message.Message | InvalidRequest:
        try:
            return kind.FromString(data)
        except message.DecodeError:
            return _explain(kind, data)

    return deserialize


def _explain(kind: type[message.Message], data: bytes) -> InvalidRequest:
    try:
        field = _first_broken_text(_strings_as_bytes(kind.DESCRIPTOR.full_name).FromString(data), "")
    except message.DecodeError:
        field = ""
    if field:
        return InvalidRequest("is not valid UTF-8", field=field, help="encode text as UTF-8, without lone surrogates")
    return InvalidRequest("the request cannot be parsed", field="request", help="build it from proto/splitwiser/v1")


@lru_cache
def _strings_as_bytes(full_name: str) -> type[message.Message]:
    """A twin of the message whose strings are bytes, so that it parses and the broken one can be found."""
    pool = descriptor_pool.DescriptorPool()
    _add_twin(descriptor_pool.Default().FindMessageTypeByName(full_name).file, pool)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(full_name))


def _add_twin(file: Any, pool: descriptor_pool.DescriptorPool) -> None:
    for dependency in file.dependencies:
        _add_twin(dependency, pool)
    twin = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(twin)
    for kind in twin.message_type:
        for field in kind.field:
            if field.type == STRING:
                field.type = BYTES
    pool.Add(twin)


def _first_broken_text(value: message.Message, path: str) -> str:
    for field, content in value.ListFields():
        for item in content if field.is_repeated else [content]:
            if isinstance(item, message.Message):
                if found := _first_broken_text(item, f"{path}{field.name}."):
                    return found
            elif isinstance(item, bytes) and not _is_utf8(item):
                return f"{path}{field.name}"
    return ""


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
