"""Pages as large as real ones, made beforehand but for the ids of rows, which never repeat."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final

_DISTINCT_ROWS: Final = 3_000
_ID: Final = "00000000-0000-4000-8000-000000000000"
_SYLLABLES: Final = ("an", "con", "de", "ex", "for", "ing", "ity", "lo", "ment", "of", "per", "ter")
_WORDS: Final = 3_000
"""Different words of the texts, the first ones the most frequent: they compress like real ones."""


class Pages:
    """The pages of a feed.

    Args:
        job_bytes: About how many bytes a job has; 0 for career sites.

    Attributes:
        key: The name of the feed's list of rows.
        size: Rows per page.
        price: Credits per row.
    """

    def __init__(self, job_bytes: int) -> None:
        self.key, self.size, self.price = (
            ("jobs", 1_000, 3) if job_bytes else ("career_sites", 50, 50)
        )
        write = _Writer(job_bytes)
        make = write.job if job_bytes else write.career_site
        self._pages = [
            self._between_ids([make() for _ in range(self.size)])
            for _ in range(_DISTINCT_ROWS // self.size)
        ]

    def start_of(self, number: int, rows: int) -> bytes:
        """Return the body of a page up to the end of its list of rows."""
        between = self._pages[number % len(self._pages)]
        first = number * self.size
        parts = [between[0]]
        for offset, text in enumerate(between[1 : rows + 1]):
            parts += (b"%08x-0000-4000-8000-000000000000" % (first + offset), text)
        if rows < self.size:  # the last text ends with the start of the next row
            parts[-1] = parts[-1].rpartition(b", {")[0] + b"]"
        return b"".join(parts)

    def _between_ids(self, rows: list[dict[str, Any]]) -> list[bytes]:
        listed = json.dumps(rows, ensure_ascii=False)
        return f'{{"{self.key}": {listed}'.encode().split(_ID.encode())


class _Writer:
    """Writes rows with random texts."""

    def __init__(self, job_bytes: int) -> None:
        self._rng = Random(job_bytes)  # noqa: S311 - not a secret
        self._words = ["".join(self._rng.choices(_SYLLABLES, k=k % 3 + 1)) for k in range(_WORDS)]
        self._weights = [1 / (rank + 3) for rank in range(_WORDS)]
        self._description_bytes = 0
        if job_bytes:
            self._description_bytes = job_bytes - len(json.dumps(self.job()).encode())

    def career_site(self) -> dict[str, Any]:
        """Return a career site."""
        return {
            "id": _ID,
            **self._company(),
            "ats": self._rng.choice(("greenhouse", "lever", "workday", "personio")),
            "listing_url": f"https://boards.greenhouse.io/{self._text(8)}",
            "updated_at": f"2026-01-{self._rng.randrange(10, 29)}T08:00:00Z",
        }

    def job(self) -> dict[str, Any]:
        """Return a job."""
        company = f"11111111-1111-4111-8111-{self._rng.randrange(10_000):012x}"
        skills = [{"name": self._text(9), "type": "hard"} for _ in range(5)]
        wanted = {"education": [self._text(20)], "certifications": [], "skills": skills}
        number = self._rng.randrange(10**9)
        return {
            "id": _ID,
            "title": self._text(30),
            "normalized_title": "software_engineer",
            "company": {"id": company, **self._company(), "categories": [self._text(12)]},
            "description": self._html(self._description_bytes),
            "summary": self._text(150),
            "listing_url": f"https://boards.greenhouse.io/company/jobs/{number}",
            "apply_url": f"https://boards.greenhouse.io/company/jobs/{number}/apply",
            "locations": [
                {
                    "location": "Berlin, Germany",
                    "city": "Berlin",
                    "region": "Berlin",
                    "country": "Germany",
                    "latitude": 52.52,
                    "longitude": 13.405,
                }
            ],
            "compensation": {
                "min": self._rng.randrange(40, 90) * 1_000,
                "max": 120_000.5,
                "currency": "EUR",
                "period": "yearly",
            },
            "employment_type": "Full-time",
            "workplace_type": "On-site",
            "experience_level": "Senior",
            "source": "greenhouse",
            "created_at": "2026-01-05T08:00:00Z",
            "updated_at": f"2026-01-{self._rng.randrange(10, 29)}T08:00:00Z",
            "date_posted": "2026-01-04T00:00:00Z",
            "valid_through": None,
            "qualifications": {"must_have": wanted, "preferred": wanted},
            "responsibilities": [self._text(60) for _ in range(4)],
            "benefits": [self._text(20) for _ in range(3)],
            "is_work_auth_required": None,
            "is_h1b_sponsor": False,
            "is_clearance_required": None,
        }

    def _company(self) -> dict[str, Any]:
        slug = f"company-{self._rng.randrange(10_000)}"
        return {
            "name": f"Company {slug}",
            "website": f"https://www.{slug}.example",
            "logo_url": f"https://cdn.jobo.example/logos/{slug}.png",
            "summary": self._text(200),
            "industries": ["saas", "fintech", "education"][: self._rng.randrange(1, 4)],
            "linkedin_url": f"https://www.linkedin.com/company/{slug}",
            "crunchbase_url": None,
            "details_url": f"https://connect.jobo.world/api/companies/{slug}",
        }

    def _html(self, size: int) -> str:
        paragraphs = [f'<p class="caf\u00e9">{self._text(380)}.</p>\n' for _ in range(size // 400)]
        return "".join(paragraphs)

    def _text(self, size: int) -> str:
        return " ".join(self._rng.choices(self._words, self._weights, k=size // 4 + 1))[:size]
