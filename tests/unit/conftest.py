"""What holds for every unit test: how long one of hypothesis' examples takes is the machine's matter."""

from hypothesis import HealthCheck, settings

# On top of the profile in use: in CI hypothesis has one of its own.
settings.register_profile("unhurried", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
