"""The tap with the stream of company profiles, and what its profiles have to be."""

from jobo_enterprise.models import Company
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from jobo_sandbox import Sandbox
from jobo_sandbox.company_data import make_profile
from tests.support.catalog import Json
from tests.support.process import Run

FIELDS = {*Company.model_fields, "_rescued_data"}
"""The fields that Jobo's own client has, and what holds those that it does not."""


def asked_for(sandbox: Sandbox) -> list[str | None]:
    return [entry.company_id for entry in sandbox.profile_requests]


def expected_profile(sandbox: Sandbox, company_id: str) -> Json:
    company = sandbox.world.company(company_id)
    assert company
    profile = make_profile(sandbox.seed, company)
    return {name: profile.get(name) for name in FIELDS}


def validate_profiles(run: Run) -> None:
    validator = DEFAULT_JSONSCHEMA_VALIDATOR(run.of("companies").schema_message["schema"])
    for record in run.of("companies").records:
        validator.validate(record)


def ids_of_page(sandbox: Sandbox, number: int) -> list[str]:
    """The companies of a page that was bought, in its order."""
    return sandbox.feed_requests[number - 1].row_ids
