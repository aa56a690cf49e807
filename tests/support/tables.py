"""Tables as a loader leaves them, written by SQL into any warehouse, and changed at random."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from tests.support.warehouses import Row, Warehouse

TIMES = ("_sdc_extracted_at", "_sdc_batched_at")
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "career_sites": {
        "id": "text", "name": "text", "website": "text", "industries": "json", "ats": "text",
        "listing_url": "text", "summary": "text",
    },
    "companies": {
        "id": "text", "name": "text", "website": "text", "company_size": "text",
        "founding_year": "text", "technology_list": "json", "tech_stack": "json",
        "funding_rounds": "json", "leadership": "json", "leadership_hires": "json",
    },
    "jobs": {
        "id": "text", "title": "text", "normalized_title": "text", "company": "json",
        "locations": "json", "compensation": "json", "workplace_type": "text", "source": "text",
        "qualifications": "json", "created_at": "timestamp", "updated_at": "timestamp",
    },
    "expired_jobs": {"id": "text", "reported_at": "timestamp"},
}  # fmt: skip
TYPES = {
    "target-postgres": {"json": "jsonb"},
    "target-snowflake": {"json": "variant", "timestamp": "timestamp_ntz"},
    "target-bigquery": {"timestamp": "timestamptz"},  # of DuckDB, which stands in
}
"""The types of kinds of columns by loader, where their names differ."""
STREAMS = ("career_sites", "companies", "jobs", "managed_jobs", "expired_jobs")


def columns_of(stream: str) -> dict[str, str]:
    """The columns of a stream's table, with the kinds of their types."""
    return {**COLUMNS[stream.removeprefix("managed_")], **dict.fromkeys(TIMES, "timestamp")}


def create(warehouse: Warehouse, streams: Iterable[str], schema: str, **types: str) -> None:
    """Create empty tables. The type of a kind of column, such as `json`, can be another one."""
    types = {**TYPES.get(warehouse.loader, {"json": "json"}), **types}
    statements = []
    for stream in streams:
        columns = ", ".join(
            f"{name} {types.get(kind, kind)}" for name, kind in columns_of(stream).items()
        )
        statements.append(f"CREATE TABLE {schema}.{stream} ({columns})")
    warehouse.execute(";".join(statements))


def upsert(schema: str, stream: str, rows: Iterable[Row]) -> str:
    """The statements that replace or add rows by their id. Columns that a row lacks are null."""
    kinds, text = columns_of(stream), []
    for row in rows:
        values = ", ".join(_literal(row.get(name), kind) for name, kind in kinds.items())
        text.append(f"DELETE FROM {schema}.{stream} WHERE id = '{row['id']}'")
        text.append(f"INSERT INTO {schema}.{stream} VALUES ({values})")
    return ";".join(text)


def _literal(value: Any, kind: str) -> str:
    if value is None:
        return "NULL"
    text = json.dumps(value) if kind == "json" else str(value)
    return "'" + text.replace("'", "''") + "'"


_START = datetime(2026, 1, 5, 6)  # noqa: DTZ001 - as the loader stores it, in UTC
_WEBSITES = (
    "https://www.acme.example/", "http://acme.example.:80", "https://www.de", "acme.example\nx",
    "https:\\\\acme.example", "http://a:b@acme.example/", "localhost", "", None,
)  # fmt: skip
_NAMES = ("Python", "python ", "PYTHON", "SQL", "Public  speaking", "", None)
_INDUSTRIES: tuple[list[str | None] | None, ...] = (
    ["retail", "food"], ["food", None, "retail", ""], ["energy"], [], None,
)  # fmt: skip
_PAY = (None, 0, 25, 900, 40_000, 60_000.5, "40000.5", "80k")
_TITLES, _PLACES = ("Cook", "Clerk"), ("Rome", "Oslo", "", None)


@dataclass
class World:
    """Rows by stream and id, and the changes that one step of a loader makes to them."""

    random: Random
    now: datetime = _START
    rows: dict[str, dict[str, Row]] = field(default_factory=lambda: {name: {} for name in STREAMS})
    ids: int = 0

    def step(self, schema: str, size: int) -> str:
        """Change some rows of each stream, and return the statements that change the tables."""
        statements = []
        for stream in ("career_sites", "companies", "jobs", "managed_jobs"):
            self.now += timedelta(hours=self.random.choice((1, 30, 200)))
            there = list(self.rows[stream])
            changed = self.random.sample(there, min(len(there), self.random.randrange(size)))
            new = [self._new_id(stream) for _ in range(self.random.randrange(1, size))]
            statements.append(self._write(schema, stream, [*changed, *new]))
            statements.append(self._delete(schema, stream, size // 2))
        self.now += timedelta(hours=1)
        jobs = [*dict.fromkeys((*self.rows["jobs"], *self.rows["managed_jobs"]))]
        gone = self.random.sample(jobs, min(len(jobs), self.random.randrange(size)))
        statements.append(self._write(schema, "expired_jobs", gone))
        statements.append(self._delete(schema, "expired_jobs", 3))
        for stream in ("jobs", "managed_jobs"):  # before a build has seen that they expired
            deleted = [key for key in gone[: size // 4] if key in self.rows[stream]]
            statements += [self._remove(schema, stream, key) for key in deleted]
        return ";".join(filter(None, statements))

    def _new_id(self, stream: str) -> str:
        known = {"companies": "career_sites", "managed_jobs": "jobs", "jobs": "expired_jobs"}
        others = sorted(self.rows[known.get(stream, stream)])
        if others and stream in known and self.random.random() < 0.7:
            return self.random.choice(others)
        self.ids += 1
        return f"{stream}-{self.ids}"

    def _write(self, schema: str, stream: str, ids: list[str]) -> str:
        rows = []
        for key in dict.fromkeys(ids):
            before = self.rows[stream].get(key)
            same = before is not None and self.random.random() < 0.2  # stored again
            row = {**before} if before and same else {"id": key, **self._make(stream, before)}
            stored = self.now + timedelta(minutes=self.random.randrange(-200, 200))
            if before and str(stored) == before["_sdc_batched_at"]:
                stored += timedelta(seconds=1)
            row |= {"_sdc_extracted_at": str(self.now), "_sdc_batched_at": str(stored)}
            self.rows[stream][key] = row
            rows.append(row)
        return upsert(schema, stream, rows)

    def _delete(self, schema: str, stream: str, at_most: int) -> str:
        there = list(self.rows[stream])
        deleted = self.random.sample(there, min(len(there), self.random.randrange(at_most)))
        return ";".join(self._remove(schema, stream, key) for key in deleted)

    def _remove(self, schema: str, stream: str, key: str) -> str:
        del self.rows[stream][key]
        return f"DELETE FROM {schema}.{stream} WHERE id = '{key}'"

    def _make(self, stream: str, before: Row | None) -> Row:
        pick = self.random.choice
        if stream == "expired_jobs":
            return {"reported_at": str(self.now - timedelta(hours=pick((0, 0, 0, 100))))}
        names = [{"name": pick(_NAMES), "type": pick(("hard", "Soft", None))} for _ in range(4)]
        if stream == "career_sites":
            return {
                "name": pick(_TITLES), "website": pick(_WEBSITES),
                "ats": pick(("lever", "Lever ", "ashby", None)),
                "industries": pick(_INDUSTRIES),
                "listing_url": pick(("https://one.example", "https://two.example")),
            }  # fmt: skip
        if stream == "companies":
            days = [{"date": pick(("2025-06-30", "2025-07-01", "2025-02-30"))} for _ in range(3)]
            rounds = [{"investment_type": "seed", "raised_amount": pick(("$1M", "€2M"))}] * 2
            return {
                "name": pick(_TITLES), "website": pick(_WEBSITES),
                "company_size": pick(("11-50", "1,001-5,000", "")),
                "founding_year": pick(("1999", "c. 1999")),
                "technology_list": pick((_NAMES[:3], [], None)),
                "tech_stack": pick((names, [], None)), "funding_rounds": pick((rounds, None)),
                "leadership": pick(
                    ([{"name": "Ada", "title": "CEO"}] * 2, [{"name": ""}, {"name": None}], None)
                ),
                "leadership_hires": pick((days, None)),
            }  # fmt: skip
        pay = {
            "min": pick(_PAY),
            "max": pick(_PAY),
            "currency": pick(("eur", "EUR", "", " ", None)),
            "period": "yearly",
        }
        places = [
            {"location": pick(_PLACES), "country": pick(("Italy", ""))}
            for _ in range(pick((0, 1, 3)))
        ]
        creations = (*(str(self.now - timedelta(days=age)) for age in (0, 9, 40)), None)
        created = before["created_at"] if before else pick(creations)
        skills = {"must_have": {"skills": names}, "preferred": {"skills": names[:2]}}
        company = {"id": pick(("career_sites-1", "career_sites-2", "unknown")), "name": "Acme"}
        return {
            "title": pick(_TITLES), "normalized_title": pick(("cook", "clerk", None)),
            "company": company, "locations": places, "compensation": pick((pay, None)),
            "workplace_type": pick(("Onsite", "On-site", None)),
            "source": pick(("lever_co", "ashby")),
            "qualifications": pick((skills, None)), "created_at": created,
            "updated_at": pick((str(self.now), None)),
        }  # fmt: skip
