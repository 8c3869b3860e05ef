"""Owns how long a connection may be silent before it counts as lost."""

IMPATIENT = [
    ("grpc.keepalive_time_ms", 2_000),
    ("grpc.keepalive_timeout_ms", 1_000),
    ("grpc.http2.ping_timeout_ms", 700),
]
"""For a peer that another one can stand in for: a hung one is noticed within about two seconds."""
PATIENT = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
]
"""For the only peer that there is: a machine may stand still for seconds, and a lost connection loses its requests."""
