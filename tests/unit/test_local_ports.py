import socket

import pytest

from infrastructure.local import ports


@pytest.fixture
def taken_port():
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as listener:
        yield listener.getsockname()[1]


def test_a_listener_is_seen_even_if_it_shares_its_port(taken_port):
    assert not ports.is_free(taken_port)


def test_a_host_of_another_machine_is_an_error():
    with pytest.raises(OSError, match="assign"):
        ports.is_free(8000, "192.0.2.1")


def test_the_remembered_port_is_chosen_again_while_it_is_free(taken_port):
    port = ports.choose()
    assert ports.choose(port) == port
    assert ports.choose(taken_port) != taken_port


def test_ports_of_one_instance_differ(taken_port):
    chosen = ports.choose_all(["a", "b", "c"], {"a": 25000, "b": 25000, "c": taken_port})
    assert len(set(chosen.values())) == 3
    assert taken_port not in chosen.values()


def test_the_holder_is_named(taken_port):
    assert str(ports.holder(taken_port)).startswith("pid ")


def test_nobody_holds_a_free_port():
    assert ports.holder(ports.choose()) is None
