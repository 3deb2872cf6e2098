import time
from collections.abc import Iterator

import eventlet
import pytest
from prometheus_client.core import Metric

from shared import probes
from shared.probes import Probe, Probes, figure, figures_by
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "WAIT_S", 0.05)
    monkeypatch.setattr(probes, "LIMIT_S", 0.2)


class Asked:
    """One who is asked for figures."""

    def __init__(self) -> None:
        self.times = 0
        self.error: Exception | None = None
        self.takes_s = 0.0

    def __call__(self) -> Iterator[Metric]:
        self.times += 1
        eventlet.sleep(self.takes_s)
        if self.error:
            raise self.error
        yield figure("cost", "A figure.", self.times)
        yield figures_by("costs", "Figures.", "of", [("a", 1), ("b", 2)])


def scrape(collector: Probes) -> dict[str, float]:
    return {
        "/".join([sample.name.removeprefix("bike_company_"), *sample.labels.values()]): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


def collector_of(**asked: Asked) -> Probes:
    collector = Probes()
    for name, measure in asked.items():
        collector.add(Probe(name, measure))
    return collector


FINE = {"cost": 1, "costs/a": 1, "costs/b": 2, "probe_up/it": 1, "probe_failures_total/it": 0}


def test_figures_are_measured_when_they_are_asked_for_and_kept_for_a_while(monkeypatch):
    asked = Asked()
    collector = collector_of(it=asked)
    assert asked.times == 0
    assert scrape(collector) == scrape(collector) == FINE
    assert asked.times == 1
    monkeypatch.setattr(probes, "FRESH_S", 0.0)
    scrape(collector)
    assert asked.times == 2


def test_who_fails_has_no_figures_and_is_asked_again():
    asked = Asked()
    asked.error = ConnectionError("away")
    collector = collector_of(it=asked)
    assert scrape(collector) == {"probe_up/it": 0, "probe_failures_total/it": 1}
    assert scrape(collector) == {"probe_up/it": 0, "probe_failures_total/it": 2}
    asked.error = None
    assert scrape(collector)["probe_up/it"] == 1


def test_a_scrape_waits_for_nobody_and_only_one_asks_at_a_time():
    silent, quick = Asked(), Asked()
    silent.takes_s = 60
    collector = collector_of(silent=silent, quick=quick, other=silent)
    began = time.monotonic()
    first, second = scrape(collector), scrape(collector)
    assert time.monotonic() - began < 10
    assert first["probe_up/silent"] == second["probe_up/silent"] == 0
    assert first["probe_up/quick"] == second["probe_up/quick"] == 1
    assert silent.times == 2  # once for each of its two probes


def test_who_is_silent_for_too_long_has_failed_and_may_recover():
    asked = Asked()
    asked.takes_s = 60
    collector = collector_of(it=asked)
    assert scrape(collector)["probe_up/it"] == 0
    asked.takes_s = 0
    eventually(lambda: scrape(collector)["probe_up/it"] == 1)
    assert scrape(collector)["probe_failures_total/it"] == 1


def test_what_is_late_is_there_the_next_time():
    asked = Asked()
    asked.takes_s = 0.08
    collector = collector_of(it=asked)
    assert scrape(collector)["probe_up/it"] == 0
    eventually(lambda: scrape(collector) == FINE)


def test_who_is_always_late_is_shown_as_it_was_before(monkeypatch):
    monkeypatch.setattr(probes, "FRESH_S", 0.0)  # as scrapes are further apart than that
    asked, collector = Asked(), Probes()
    asked.takes_s = 0.08
    probe = Probe("it", asked)
    collector.add(probe)
    assert scrape(collector)["probe_up/it"] == 0
    probe.wait()
    assert scrape(collector) == FINE
    assert asked.times == 2, "asked anew, though the answer is late again"
    probe.wait()
    asked.error = ConnectionError("away")
    assert scrape(collector)["cost"] == 2
    probe.wait()
    asked.takes_s = 60
    assert scrape(collector) == {"probe_up/it": 0, "probe_failures_total/it": 1}


def test_figures_that_are_too_old_are_not_shown(monkeypatch):
    asked = Asked()
    collector = collector_of(it=asked)
    assert scrape(collector)["probe_up/it"] == 1
    monkeypatch.setattr(probes, "FRESH_S", 0.0)
    monkeypatch.setattr(probes, "SHOWN_S", 0.0)
    asked.takes_s = 60
    assert scrape(collector) == {"probe_up/it": 0, "probe_failures_total/it": 0}


def test_a_probe_that_is_removed_is_not_asked():
    asked, collector = Asked(), Probes()
    probe = Probe("it", asked)
    collector.add(probe)
    collector.remove(probe)
    collector.remove(probe)
    assert scrape(collector) == {}
    assert asked.times == 0
