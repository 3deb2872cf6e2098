import pytest

from infrastructure.local import adding, settings
from infrastructure.local.errors import LocalError
from infrastructure.selection import Selection

RUNNING = Selection({"bike_service": 1, "gateway_service": 2})
ALL = ("bike_service", "trip_service", "gateway_service")


def test_what_is_new_or_has_another_number_is_changed():
    after = Selection({"bike_service": 1, "trip_service": 1, "gateway_service": 1})
    assert adding.changed(RUNNING, after) == ["trip_service", "gateway_service"]
    assert adding.changed(after, after) == []


def running_settings(**environ: str) -> settings.Settings:
    return settings.read({"GATEWAY_ADDRESS": "127.0.0.1:9000", **environ})


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"AMQP_URI": "amqp://elsewhere/"}, "AMQP_URI"),
        ({"BIKE_DATABASE_URL": "postgresql://elsewhere/bikes"}, "BIKE_DATABASE_URL"),
        ({"GATEWAY_ADDRESS": "127.0.0.1:9001"}, "GATEWAY_ADDRESS"),
        ({"JWT_SECRET": "s" * 32}, "JWT_SECRET"),
    ],
)
def test_a_setting_of_what_runs_cannot_be_another(environ, name):
    with pytest.raises(LocalError, match=f"^{name} is another"):
        settings.merged(running_settings(), ALL, environ)


def test_what_is_added_takes_its_own_settings():
    given = {"GATEWAY_ADDRESS": "127.0.0.1:9001", "TRIP_DATABASE_URL": "postgresql://elsewhere/trips"}
    found = settings.merged(running_settings(), ("bike_service",), given)
    assert found.gateway_address == "127.0.0.1:9001"
    assert found.trip_database_url == "postgresql://elsewhere/trips"
    assert found.bike_database_url is None


def test_settings_that_are_not_given_stay_those_of_what_runs():
    running = running_settings(AMQP_URI="amqp://broker/", JWT_SECRET="s" * 32)
    assert settings.merged(running, ALL, {}) == running
    assert settings.merged(running, ALL, {"AMQP_URI": "amqp://broker/", "GATEWAY_ADDRESS": "127.0.0.1:9000"}) == running


def test_only_settings_of_services_are_kept_for_them():
    environ = {"FARE_UNLOCK": "2", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "HOME": "/root", "AWS_SECRET": "x"}
    assert settings.of_services(environ) == {"FARE_UNLOCK": "2", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h"}
