"""Pages of jobs as large as real ones, made beforehand but for the ids, which never repeat."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final

PAGE: Final = 1_000
_DISTINCT_PAGES: Final = 3
_ID: Final = "00000000-0000-4000-8000-000000000000"
_SYLLABLES: Final = ("an", "con", "de", "ex", "for", "ing", "ity", "lo", "ment", "of", "per", "ter")
_WORDS: Final = 3_000
"""Different words of the texts, the first ones the most frequent: they compress like real ones."""


class JobPages:
    """The pages of a feed of jobs.

    Args:
        job_bytes: About how many bytes a job has.
    """

    def __init__(self, job_bytes: int) -> None:
        writer = _Writer(job_bytes)
        self._pages = [writer.page() for _ in range(_DISTINCT_PAGES)]

    def page(self, number: int, rows: int) -> bytes:
        """Return the body of a page, but for what follows its jobs."""
        between = self._pages[number % _DISTINCT_PAGES][: rows + 1]
        first = number * PAGE
        parts = [between[0]]
        for offset, text in enumerate(between[1:]):
            parts += (b"%08x-0000-4000-8000-000000000000" % (first + offset), text)
        if rows < PAGE:  # the last text ends with the start of the next job
            parts[-1] = parts[-1].rpartition(b", {")[0] + b"]"
        return b"".join(parts)


class _Writer:
    """Writes jobs of about the same size with random texts."""

    def __init__(self, job_bytes: int) -> None:
        self._rng = Random(job_bytes)  # noqa: S311 - not a secret
        self._words = ["".join(self._rng.choices(_SYLLABLES, k=k % 3 + 1)) for k in range(_WORDS)]
        self._weights = [1 / (rank + 3) for rank in range(_WORDS)]
        self._description_bytes = job_bytes - len(json.dumps(self._job("")).encode())

    def page(self) -> list[bytes]:
        """Return a page as the texts between the ids of its jobs."""
        jobs = [self._job(self._html(self._description_bytes)) for _ in range(PAGE)]
        listed = json.dumps(jobs, ensure_ascii=False)
        return f'{{"jobs": {listed}'.encode().split(_ID.encode())

    def _text(self, size: int) -> str:
        words = self._rng.choices(self._words, self._weights, k=max(size, 0) // 4 + 1)
        return " ".join(words)[: max(size, 0)]

    def _html(self, size: int) -> str:
        paragraphs = [f'<p class="caf\u00e9">{self._text(380)}.</p>\n' for _ in range(size // 400)]
        return "".join(paragraphs)

    def _job(self, description: str) -> dict[str, Any]:
        company = f"11111111-1111-4111-8111-{self._rng.randrange(10_000):012x}"
        slug = f"company-{company[-6:]}"
        skills = [{"name": self._text(9), "type": "hard"} for _ in range(5)]
        wanted = {"education": [self._text(20)], "certifications": [], "skills": skills}
        return {
            "id": _ID,
            "title": self._text(30),
            "normalized_title": "software_engineer",
            "company": {
                "id": company,
                "name": f"Company {slug}",
                "website": f"https://www.{slug}.example",
                "logo_url": f"https://cdn.jobo.example/logos/{company}.png",
                "summary": self._text(200),
                "industries": ["saas", "fintech"],
                "categories": [self._text(12)],
                "linkedin_url": f"https://www.linkedin.com/company/{slug}",
                "crunchbase_url": None,
                "details_url": f"https://connect.jobo.world/api/companies/{company}",
            },
            "description": description,
            "summary": self._text(150),
            "listing_url": f"https://boards.greenhouse.io/{slug}/jobs/{self._rng.randrange(10**9)}",
            "apply_url": f"https://boards.greenhouse.io/{slug}/jobs/apply",
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
