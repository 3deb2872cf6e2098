import socket

import pytest

from infrastructure.local import files, settings, stack
from infrastructure.local.composition import Composition
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout
from infrastructure.local.parts import Parts
from infrastructure.selection import Selection

ENVIRON = {"AMQP_URI": "amqp://broker/", "BIKE_DATABASE_URL": "postgresql://h/b", "JWT_SECRET": "s" * 32}
COMPOSED = Composition("1 boot:2", Selection(), settings.read(ENVIRON), {})


@pytest.fixture
def layout(tmp_path) -> Layout:
    made = Layout(tmp_path)
    made.make()
    return made


def test_a_service_keeps_the_settings_that_it_was_added_with(layout):
    def write(**given: str) -> dict[str, str]:
        stack.write_environments(layout, Parts(layout), COMPOSED, ["gateway_service"], given)
        return files.read_json(layout.services_environment)["gateway_service"]

    stack.write_environments(layout, Parts(layout), COMPOSED, ["bike_service"], {"MAX_WORKERS": "7"})
    bike = files.read_json(layout.services_environment)["bike_service"]
    first = write(RATE_LIMIT="10/1s", LOG_LEVEL="DEBUG")
    assert first["RATE_LIMIT"] == "10/1s"
    assert write() == first
    assert write(LOG_LEVEL="INFO") == {**first, "LOG_LEVEL": "INFO"}
    assert files.read_json(layout.services_environment)["bike_service"] == bike


def test_what_a_killed_stack_was_given_is_not_kept(layout):
    files.write_json(layout.services_environment, {"gateway_service": {"RATE_LIMIT": "10/1s"}})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = {"GATEWAY_ADDRESS": f"127.0.0.1:{taken.getsockname()[1]}"}
        with pytest.raises(LocalError, match="is taken by"):
            stack.Stack(layout, settings.read({**ENVIRON, **address}), Selection({"gateway_service": 1}), print).start()
    assert not layout.services_environment.exists()
