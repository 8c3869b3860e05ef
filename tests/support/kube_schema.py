"""Owns the question whether an object is one that a version of Kubernetes takes, by kubernetes-validate's schemas.

kubernetes_validate.validate reads a megabyte of definitions for every object; here they are read once a version.
"""

import json
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.support.helm import Object

# Of Prometheus Operator, which Kubernetes does not know.
FOREIGN = ("ServiceMonitor",)


def schema_errors(found: Object, version: str) -> list[str]:
    """What Kubernetes version (such as 1.34) would not take; unknown fields are errors."""
    if found["kind"] in FOREIGN:
        return []
    validator = _validator(version, found["kind"].lower(), _short(found["apiVersion"]))
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(found)]


def _short(api_version: str) -> str:
    """networking.k8s.io/v1 is networking-v1 in the names of schemas."""
    group, _, version = api_version.rpartition("/")
    return f"{group.split('.')[0]}-{version}" if group else version


def _folder(version: str) -> Traversable:
    return files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}.0-local-strict"


@cache
def _registry(version: str) -> "Registry[Any]":
    definitions = json.loads((_folder(version) / "_definitions.json").read_text())
    return Resource.from_contents(definitions) @ Registry()


@cache
def _validator(version: str, kind: str, api_version: str) -> Draft202012Validator:
    schema = json.loads((_folder(version) / f"{kind}-{api_version}.json").read_text())
    registry = Resource.from_contents(schema) @ _registry(version)
    return Draft202012Validator(schema, registry=registry)
