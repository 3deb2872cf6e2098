"""The compose file as it is rendered: what is open, what is closed, and for which services."""

import re
from typing import Any

import pytest
import yaml

from infrastructure import selection as selections
from infrastructure import service_settings
from infrastructure.compose import rendering
from infrastructure.compose.__main__ import COMMITTED, COMMITTED_TARGETS
from infrastructure.selection import SERVICES, Selection, short
from shared import healthcheck

OPTIONAL = ("prometheus", "grafana")


def rendered(services: str = "", processes: str = "") -> dict[str, Any]:
    chosen = selections.read({"SERVICES": services, "PROCESSES": processes})
    loaded: dict[str, Any] = yaml.safe_load(rendering.compose_file(chosen, rendering.COMMITTED))
    return loaded


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return rendered()


def test_the_committed_file_is_the_template_s_rendering_for_all_services() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == rendering.compose_file(Selection(), rendering.COMMITTED)


def test_nothing_but_the_gateway_is_published_and_that_on_loopback(whole: dict[str, Any]) -> None:
    published = {name: each["ports"] for name, each in whole["services"].items() if "ports" in each}
    assert set(published) == {"gateway_service", *OPTIONAL}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert all("observability" in whole["services"][name]["profiles"] for name in OPTIONAL)


def test_each_database_shares_a_network_with_its_own_service_only(whole: dict[str, Any]) -> None:
    members: dict[str, set[str]] = {}
    for name, each in whole["services"].items():
        for network in each["networks"]:
            members.setdefault(network, set()).add(name)
    assert members["bike_db"] == {"bike_postgres", "bike_migrate", "bike_service"}
    assert members["trip_db"] == {"trip_postgres", "trip_migrate", "trip_service"}
    assert members["broker"] == {"rabbitmq", *SERVICES}
    assert members["public"] == {"gateway_service"}
    internal = {name for name, network in whole["networks"].items() if network.get("internal")}
    assert internal == set(whole["networks"]) - {"public", "dashboards"}


def test_every_container_is_bounded_and_hardened(whole: dict[str, Any]) -> None:
    for name, each in whole["services"].items():
        assert each["read_only"] is True, name
        assert each["cap_drop"] == ["ALL"], name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"[0-9]+[mg]", each["mem_limit"]), name
        assert each["cpus"] > 0, name
        assert each["pids_limit"] > 0, name
        assert each["logging"]["options"]["max-file"] == "3", name
        if name.endswith("_migrate"):
            assert each["restart"] == "no"
        else:
            assert each["restart"] == "unless-stopped", name
            assert each["healthcheck"]["test"], name


def test_a_service_starts_after_broker_database_and_migrations(whole: dict[str, Any]) -> None:
    healthy, done = {"condition": "service_healthy"}, {"condition": "service_completed_successfully"}
    services = whole["services"]
    assert services["trip_service"]["depends_on"] == {
        "rabbitmq": healthy, "trip_postgres": healthy, "trip_migrate": done,
    }  # fmt: skip
    assert services["trip_migrate"]["depends_on"] == {"trip_postgres": healthy}
    # a gateway says of a service that it is away; it does not stay away itself
    assert services["gateway_service"]["depends_on"] == {"rabbitmq": healthy}


def test_no_secret_stands_in_the_file_and_each_goes_where_it_is_needed(whole: dict[str, Any]) -> None:
    used = {secret for each in whole["services"].values() for secret in each.get("secrets", [])}
    assert used == set(whole["secrets"])
    assert whole["services"]["trip_service"]["secrets"] == ["trip_service_amqp_uri", "trip_database_url"]
    for each in whole["services"].values():
        for name, value in each.get("environment", {}).items():
            # Where the world finds the gateway is no secret.
            if re.search("PASSWORD|SECRET|URI|URL", name) and name != "PUBLIC_URL":
                assert value.startswith("/run/secrets/"), name
                assert value.removeprefix("/run/secrets/") in each["secrets"], name


@pytest.mark.parametrize("chosen", ["bike", "trip", "gateway", "gateway bike"])
def test_a_selection_has_its_services_and_what_they_need(chosen: str) -> None:
    found = rendered(chosen)
    names = {f"{name}_service" for name in chosen.split()}
    parts = {part for name in chosen.split() if name != "gateway" for part in (f"{name}_postgres", f"{name}_migrate")}
    assert set(found["services"]) == names | parts | {"rabbitmq", *OPTIONAL}
    for each in found["services"].values():
        assert set(each["networks"]) <= set(found["networks"])
        volumes = {volume.split(":")[0] for volume in each.get("volumes", []) if volume[0] not in "./"}
        assert volumes <= set(found["volumes"])


def test_processes_are_containers_of_a_service_and_connections_of_its_database() -> None:
    found = rendered(processes="bike=3 trip=2")["services"]
    assert (found["bike_service"]["scale"], found["trip_service"]["scale"]) == (3, 2)
    assert "max_connections=128" in found["bike_postgres"]["command"]


def test_several_gateways_share_the_published_port_in_one_container() -> None:
    gateway = rendered(processes="gateway=3")["services"]["gateway_service"]
    assert gateway["command"][-1].endswith("/run-programs.sh")
    assert gateway["healthcheck"]["test"][-1] == "infrastructure.programs_health"
    assert selections.read(gateway["environment"]) == Selection({"gateway_service": 3})
    assert "scale" not in gateway
    assert (gateway["mem_limit"], gateway["cpus"]) == ("1152m", 3.0)


@pytest.mark.parametrize(("services", "ports"), [("", [9464]), ("gateway=3", [9464, 9465, 9466])])
def test_prometheus_finds_each_process_of_the_gateway_and_no_other(services: str, ports: list[int]) -> None:
    chosen = selections.read({"PROCESSES": services})
    [found] = yaml.safe_load(rendering.gateway_targets(chosen))
    assert found == {"targets": [f"gateway_service:{port}" for port in ports]}


def test_without_a_gateway_prometheus_looks_for_none() -> None:
    assert yaml.safe_load(rendering.gateway_targets(Selection({"bike_service": 1}))) == [{"targets": []}]


def test_prometheus_reads_the_rendered_targets_where_they_are_mounted(whole: dict[str, Any]) -> None:
    committed = f"./{COMMITTED_TARGETS.parent.relative_to(rendering.FOLDER)}"
    assert f"{committed}:/etc/prometheus_targets:ro" in whole["services"]["prometheus"]["volumes"]
    assert COMMITTED_TARGETS.read_text(encoding="utf-8") == rendering.gateway_targets(Selection())


def test_what_an_operator_may_set_reaches_its_service(whole: dict[str, Any]) -> None:
    for service, own in service_settings.OF_SERVICE.items():
        names = own + rendering.TRACE_SETTINGS
        environment = whole["services"][service]["environment"]
        assert [environment[name] for name in names] == [f"${{{name}:-}}" for name in names]
    assert {short(name) for name in service_settings.OF_SERVICE} == {"bike", "trip", "gateway"}


def test_the_tests_container_reaches_gateway_and_broker_only() -> None:
    tests = yaml.safe_load(rendering.tests_file("../.."))["services"]["tests"]
    assert tests["networks"] == ["public", "broker"]
    assert tests["volumes"] == ["../..:/checkout:ro"]
    assert any(mount.startswith("/checkout/.local:") for mount in tests["tmpfs"])


def test_what_is_started_names_nothing_outside_its_own_folder() -> None:
    found = yaml.safe_load(rendering.compose_file(Selection(), rendering.RENDERED))
    mounts = [volume.split(":")[0] for each in found["services"].values() for volume in each.get("volumes", [])]
    assert all(way.startswith("./mounted/") for way in mounts if way[0] in "./")
    assert all(secret["file"].startswith("./secrets/") for secret in found["secrets"].values())


def test_a_health_check_may_start_an_interpreter_before_its_own_limit_begins() -> None:
    services = rendered(processes="gateway=2")["services"]
    limits = {name: services[name]["healthcheck"]["timeout"] for name in SERVICES}
    assert all(float(limit.removesuffix("s")) >= healthcheck.LIMIT_S + 1.5 for limit in limits.values())
