"""The settings that operators may give are those that the services read."""

import importlib
from collections.abc import Iterator, Mapping

import pytest

from infrastructure import service_settings
from infrastructure.selection import SERVICES

# Given by whoever starts a service; RATE_LIMIT as well, without which its storage is not asked for.
PROVIDED = {
    "BIKE_DATABASE_URL": "postgresql://u:p@db/bike",
    "TRIP_DATABASE_URL": "postgresql://u:p@db/trip",
    "JWT_SECRET": "s" * 32,
    "RATE_LIMIT": "5/minute",
}
WHERE = {
    *PROVIDED, *(f"{name}_FILE" for name in PROVIDED), "GATEWAY_ADDRESS", "GATEWAY_SOCKET_FD",
} - {"RATE_LIMIT"}  # fmt: skip


class Recorder(Mapping[str, str]):
    """An environment that knows which names were asked for."""

    def __init__(self, content: dict[str, str]) -> None:
        self.content, self.read = content, set[str]()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return self.content[name]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("what is read has a name")

    def __len__(self) -> int:
        return len(self.content)


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_reads_is_what_may_be_set_for_it(service: str) -> None:
    environ = Recorder(PROVIDED)
    importlib.import_module(f"{service}.settings").nameko_config(environ)
    # `shared.run` reads it for each service, before the service's own settings
    assert (environ.read | {"MAX_WORKERS"}) - WHERE == set(service_settings.OF_SERVICE[service])


def test_every_service_is_there() -> None:
    assert set(service_settings.OF_SERVICE) == set(SERVICES)
    assert {"LOG_LEVEL", "FARE_UNLOCK", "RATE_LIMIT_STORAGE"} <= service_settings.NAMES
