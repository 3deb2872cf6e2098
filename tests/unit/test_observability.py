"""Alerts, dashboard and Prometheus's configuration: complete, and agreeing with each other."""

import re
from typing import Any

import promql_parser
import pytest
import yaml

from infrastructure.compose import rendering
from tests import observability
from tests.promql import Use, uses

Json = dict[str, Any]
HEADINGS = re.findall(r"^#+ (.+)$", (observability.ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
ANCHORS = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in HEADINGS}


def test_selectors_are_found_with_the_labels_that_are_used():
    found = uses('sum by (a) (rate(x_total{b=~"5..", c="d"}[5m])) / (-y) > max by (e) (delta(z[1m:5s])) * 2')
    assert found == [
        Use("x_total", frozenset("abc"), frozenset({("c", "d")})),
        Use("y", frozenset(), frozenset()),
        Use("z", frozenset("e"), frozenset()),
    ]


@pytest.mark.parametrize("rule", observability.alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_where_to_read_on(rule: Json) -> None:
    promql_parser.parse(rule["expr"])
    assert rule["labels"]["severity"] in ("critical", "warning")
    notes = rule["annotations"]
    assert all(notes[name].strip() for name in ("summary", "description"))
    page, anchor = notes["runbook"].split("#")
    assert (page, anchor) == ("docs/operations.md", f"alert-{rule['alert'].lower()}")
    assert anchor in ANCHORS


def test_alerts_have_names_of_their_own_and_no_runbook_is_left_over() -> None:
    names = [rule["alert"] for rule in observability.alerts()]
    assert len(set(names)) == len(names)
    assert {anchor for anchor in ANCHORS if anchor.startswith("alert-")} == {f"alert-{n.lower()}" for n in names}


@pytest.mark.parametrize("panel", observability.panels(), ids=lambda panel: panel["title"])
def test_a_panel_asks_the_provisioned_source_and_names_only_labels_that_it_groups_by(panel: Json) -> None:
    sources = observability.FOLDER / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    [source] = yaml.safe_load(sources.read_text())["datasources"]
    assert panel["datasource"]["uid"] == source["uid"]
    for target in panel["targets"]:
        used = {label for use in uses(target["expr"]) for label in use.labels}
        named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        # A bare series has all labels of its target too.
        assert named <= used | {"job", "instance"}


def test_the_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in observability.panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_every_service_is_scraped_by_its_name_and_the_alert_for_absence_names_it() -> None:
    config = yaml.safe_load((observability.FOLDER / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    services = {"gateway_service", "bike_service", "trip_service"}
    assert services | {"rabbitmq"} == jobs.keys()
    for name in ("bike_service", "trip_service"):
        [found] = jobs[name]["dns_sd_configs"]
        assert (found["names"], found["port"]) == ([name], rendering.METRICS_PORT)
    assert jobs["gateway_service"]["file_sd_configs"] == [{"files": ["/etc/prometheus_targets/gateway_service.yml"]}]
    assert config["rule_files"] == ["alerts.yml"]
    [down] = [rule for rule in observability.alerts() if rule["alert"] == "ServiceDown"]
    assert {value for use in uses(down["expr"]) for _, value in use.equal} == services
