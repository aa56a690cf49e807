from jobo_sandbox import Sandbox
from tests.support.companies import FIELDS, OBJECTS

from .helpers import profile

KINDS = {"string": str, "boolean": bool, "number": float, "integer": int, "array": list}


def test_profiles_have_all_fields_of_the_contract_and_no_other(sandbox: Sandbox) -> None:
    seen, documented = set(), set(FIELDS) - {"_rescued_data"}
    for key in sandbox.world.rows():
        body = profile(sandbox, key).json()
        assert body["id"] == key
        assert set(body) == documented
        for name, value in body.items():
            assert value is None or isinstance(value, KINDS[FIELDS[name]]), name
            if value:
                seen.add(name)
        for name, members in OBJECTS.items():
            kinds = dict(member.partition(":")[::2] for member in members.split())
            for item in body[name]:
                assert set(item) == set(kinds), name
                for member, kind in kinds.items():
                    assert isinstance(item[member], (KINDS[kind or "string"], type(None)))
    assert seen == documented  # none is always null or empty


def test_a_company_that_is_unknown_or_gone_is_not_found(sandbox: Sandbox) -> None:
    key = next(iter(sandbox.world.rows()))
    assert profile(sandbox, "00000000-0000-4000-8000-000000000000").status_code == 404
    sandbox.company_gone(key)
    assert profile(sandbox, key).status_code == 404
    assert key in sandbox.world.rows()
