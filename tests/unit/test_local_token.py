import pytest

from infrastructure.local import token
from infrastructure.local.errors import LocalError
from infrastructure.local.layout import Layout
from shared.jwt import Identity, Verifier

BIKE_ID = "7b0e9d3e-93a9-4f0e-9f57-0d0a4d6e8a11"
SECRET = "s" * 40


@pytest.mark.parametrize(
    ("options", "identity"),
    [
        ({"ROLE": "rider"}, Identity("local-rider", "rider")),
        ({"ROLE": "operator", "SUB": "ada"}, Identity("ada", "operator")),
        ({"ROLE": "vehicle", "SUB": BIKE_ID.upper()}, Identity(BIKE_ID, "vehicle")),
    ],
)
def test_a_token_is_for_the_role_and_the_subject(tmp_path, options, identity):
    made = token.make(Layout(tmp_path), {"JWT_SECRET": SECRET, **options})
    assert Verifier.with_secret(SECRET).verify(made) == identity


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "ROLE must be one of rider, operator, vehicle"),
        ({"ROLE": "king"}, "ROLE must be one of rider, operator, vehicle"),
        ({"ROLE": "vehicle"}, "SUB=<bike id>"),
        ({"ROLE": "vehicle", "SUB": "bike"}, "SUB=<bike id>"),
        ({"ROLE": "rider", "SUB": "x" * 256}, "255"),
        ({"ROLE": "rider", "JWT_SECRET": "short"}, "JWT_SECRET must be at least 32 bytes"),
    ],
)
def test_bad_options_are_refused(tmp_path, options, message):
    with pytest.raises(LocalError, match=message):
        token.make(Layout(tmp_path), {"JWT_SECRET": SECRET, **options})


def test_the_running_stacks_secret_is_used(tmp_path):
    layout = Layout(tmp_path)
    layout.write_environment({"JWT_SECRET": "r" * 32})
    assert token.secret(layout, {}) == "r" * 32
    assert token.secret(layout, {"JWT_SECRET": SECRET}) == SECRET


def test_without_a_stack_it_is_the_secret_of_the_next(tmp_path):
    layout = Layout(tmp_path)
    assert token.secret(layout, {}) == layout.secret.read_text()


def test_configured_audience_and_issuer_are_in_the_token(tmp_path):
    environ = {"ROLE": "rider", "JWT_SECRET": SECRET, "JWT_AUDIENCE": "bikes", "JWT_ISSUER": "me"}
    made = token.make(Layout(tmp_path), environ)
    assert Verifier.with_secret(SECRET, audience="bikes", issuer="me").verify(made).role == "rider"
