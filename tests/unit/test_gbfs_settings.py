"""The settings of the feeds: the default is complete, and what is wrong is told with file and field."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared import gbfs_settings
from shared.config import ConfigurationError
from shared.gbfs_settings import DEFAULT, load, of_environment

GOOD: Any = yaml.load(DEFAULT.read_text(), gbfs_settings._Loader)  # noqa: S506


def written(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "my-gbfs.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def changed(path: str, value: Any) -> Any:
    """The good settings with `value` at the dotted path; None takes away what is there."""
    content = copy.deepcopy(GOOD)
    *above, last = path.split(".")
    part = content
    for step in above:
        part = part[int(step) if step.isdigit() else step]
    if value is None:
        del part[last]
    else:
        part[last] = value
    return content


def test_the_default_is_complete():
    settings = of_environment({})
    assert settings is of_environment({"GBFS_CONFIG": " "})
    assert {kind.max_range_m is None for kind in settings.types.values()} == {False, True}
    assert settings.types[settings.default_type_id]
    assert {each["language"] for each in settings.system["name"]} == set(settings.system["languages"])
    assert settings.stale_after_s > settings.vehicles_ttl_s > 0


def test_another_file_can_be_named(tmp_path: Path):
    path = written(tmp_path, changed("system.system_id", "another"))
    assert of_environment({"GBFS_CONFIG": str(path)}).system["system_id"] == "another"


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("system.system_id", None, "system.system_id"),
        ("system.system_id", "a b", "system.system_id"),
        ("system.timezone", "Mars/Olympus", "system.timezone"),
        ("system.languages", [], "system.languages"),
        ("system.languages", ["en", "de", "fr", "it"], "system"),
        ("system.name", "Bikes", "system.name"),
        ("system.name.EN", "Bikes", "system.name.EN"),
        ("system.feed_contact_email", "nobody", "system.feed_contact_email"),
        ("system.phone_number", "0445550100", "system.phone_number"),
        ("system.start_date", "2026-02-30", "system.start_date"),
        ("system.url", "bikes.example.org", "system.url"),
        ("system.license_url", "https://example.org", "system.license_url"),
        ("system.terms_last_updated", None, "system.terms_last_updated"),
        ("system.rental_apps.android", None, "system.rental_apps.android"),
        ("system.colour", "red", "system.colour"),
        ("rental_uris.web", "https://example.org/{bike_id}", "rental_uris.web"),
        ("rental_uris.web", "javascript:alert(1)", "rental_uris.web"),
        ("ttl.vehicle_status", -1, "ttl.vehicle_status"),
        ("ttl.others", "3600", "ttl.others"),
        ("stale_after", 1, "stale_after"),
        ("pricing_plan.description.en", "{price}", "pricing_plan.description"),
        ("pricing_plan.description.en", "{unlock.real}", "pricing_plan.description"),
        ("pricing_plan.description.en", "{unlock", "pricing_plan.description"),
        ("pricing_plan.is_taxable", "yes", "pricing_plan.is_taxable"),
        ("default_vehicle_type", "rocket", "default_vehicle_type"),
        ("vehicle_types", [], "vehicle_types"),
        ("vehicle_types.1.vehicle_type_id", "bike", "vehicle_types"),
        ("vehicle_types.1.max_range_meters", None, "vehicle_types.1.max_range_meters"),
        ("vehicle_types.0.propulsion_type", "steam", "vehicle_types.0.propulsion_type"),
        ("vehicle_types.0.wheel_count", True, "vehicle_types.0.wheel_count"),
        ("alerts", [{"alert_id": "1", "type": "other"}], "alerts.0.summary"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_field(tmp_path: Path, path: str, value: Any, field: str) -> None:
    file = written(tmp_path, changed(path, value))
    with pytest.raises(ConfigurationError) as refused:
        load(file)
    message = str(refused.value)
    assert message.startswith(f"GBFS_CONFIG: {file}: ")
    assert f"{field}: " in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["a: [", "a: 1\na: 2", "- 1", "", "!!python/object/apply:os.getcwd []"])
def test_what_is_no_settings_file_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"GBFS_CONFIG: .*my-gbfs\.yaml"):
        load(written(tmp_path, text))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml")


def test_an_alert_ends_after_its_start(tmp_path: Path) -> None:
    times = [{"start": "2026-05-01T06:00:00Z", "end": "2026-05-01T05:00:00Z"}]
    alert = {"alert_id": "1", "type": "other", "summary": {"en": "a", "de": "b", "fr": "c"}, "times": times}
    with pytest.raises(ConfigurationError, match=r"alerts\.0\.times\.0\.end: Must be after"):
        load(written(tmp_path, changed("alerts", [alert])))
