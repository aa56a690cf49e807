"""Generate jobs: their rows in the feed, and the traits behind its filters."""

from dataclasses import dataclass
from random import Random
from uuid import UUID

from jobo_sandbox import vocabulary as words
from jobo_sandbox.company_data import Company, Json, mostly
from jobo_sandbox.instants import DAY, to_text

# What the filters look at besides the row, in the filters' own spelling.
TRAITS = frozenset({"work_model", "employment", "experience"})
# Companies name their applicant tracking system, jobs its id.
_SOURCES = {"lever": "lever_co"}


@dataclass(slots=True)
class Job:
    """A job posting.

    As in `Company`, `row` and `traits` are replaced, never modified in place. The row is without
    `created_at` and `updated_at`. Instants are in microseconds since 1970.
    """

    row: Json
    traits: Json
    company_id: str
    created_at: int
    updated_at: int
    expired_at: int | None = None

    def change(self, changes: Json, now: int) -> None:
        """Apply new values: those named in `TRAITS` to the traits, all others to the row."""
        self.traits = self.traits | {k: v for k, v in changes.items() if k in TRAITS}
        self.row = self.row | {k: v for k, v in changes.items() if k not in TRAITS}
        self.updated_at = now


def company_of_job(company: Company, categories: list[str]) -> Json:
    """Make the company object inside a job's row, as of now."""
    same = ("id", "name", "website", "logo_url", "summary", "industries")
    links = ("linkedin_url", "crunchbase_url", "details_url")
    return (
        {name: company.row[name] for name in same}
        | {"categories": categories}
        | {name: company.row[name] for name in links}
    )


def make_job(rng: Random, company: Company, embedded: Json, created_at: int) -> Job:
    """Generate the next job from `rng`.

    Args:
        rng: The source of randomness.
        company: The company that is hiring.
        embedded: The company object inside the row.
        created_at: When the job was first indexed. It has not been updated since.
    """
    identity = str(UUID(int=rng.getrandbits(128), version=4))
    role = rng.choice(words.JOB_TITLES)
    work_model = rng.choice(list(words.WORK_MODELS))
    employment = rng.choices(list(words.EMPLOYMENT_TYPES), words.EMPLOYMENT_WEIGHTS)[0]
    experience = rng.choice(list(words.EXPERIENCE_LEVELS))
    title = f"Senior {role}" if experience == "senior" else role
    tasks = rng.sample(words.TASKS, rng.randint(2, 4))
    places = rng.sample(words.JOB_LOCATIONS, rng.choices((1, 2, 3), (80, 15, 5))[0])
    listing = f"{company.row['listing_url']}/{identity[:8]}"
    ats = str(company.row["ats"])
    row = {
        "id": identity,
        "title": title,
        "normalized_title": role.lower().replace(" ", "_"),
        "company": embedded,
        "description": _description(company, title, tasks),
        "summary": mostly(rng, 0.9, f"{title} at {company.row['name']}."),
        "listing_url": listing,
        "apply_url": f"{listing}/apply",
        "locations": [_location(place) for place in places],
        "compensation": mostly(rng, 0.6, _compensation(rng, places[0][2])),
        "employment_type": rng.choice(words.EMPLOYMENT_TYPES[employment]),
        "workplace_type": mostly(rng, 0.95, rng.choice(words.WORK_MODELS[work_model])),
        "experience_level": mostly(rng, 0.9, rng.choice(words.EXPERIENCE_LEVELS[experience])),
        "source": _SOURCES.get(ats, ats),
        "date_posted": mostly(rng, 0.9, to_text(created_at // DAY * DAY - rng.randint(0, 3) * DAY)),
        "valid_through": mostly(rng, 0.2, to_text(created_at // DAY * DAY + 90 * DAY)),
        "qualifications": {"must_have": _qualifications(rng), "preferred": _qualifications(rng)},
        "responsibilities": tasks,
        "benefits": rng.sample(words.BENEFITS, rng.randint(0, 4)),
        "is_work_auth_required": rng.choice((None, None, True, False)),
        "is_h1b_sponsor": rng.choice((None, None, True, False)),
        "is_clearance_required": rng.choice((None, None, None, True, False)),
    }
    traits = {"work_model": work_model, "employment": employment, "experience": experience}
    return Job(row, traits, str(company.row["id"]), created_at, created_at)


def make_job_change(rng: Random, job: Job) -> Json:
    """Pick a change to a job that is visible in its row."""
    locations = job.row["locations"]
    country = str(locations[0]["country"]) if locations else ""
    kind = rng.randrange(2)
    while True:
        changes: Json = (
            {"compensation": _compensation(rng, country)},
            {"benefits": rng.sample(words.BENEFITS, rng.randint(1, 5))},
        )[kind]
        if any(job.row[field] != value for field, value in changes.items()):
            return changes


def _description(company: Company, title: str, tasks: list[str]) -> str:
    items = "".join(f"<li>{task}</li>" for task in tasks)
    return (
        f"<p><strong>{company.row['name']}</strong> has an opening: {title}.</p>"
        f"<p>{company.row['summary'] or 'Get to know us.'} You will join a team that values clear "
        "writing, short meetings and work that lasts.</p>"
        f"<h3>What you will do</h3><ul>{items}</ul>"
        "<h3>How we work</h3><p>We decide in the open, ship small changes every day and look after "
        "what we have shipped. You choose your tools and your hours; we agree on goals.</p>"
    )


def _location(place: tuple[str, str, str, float, float]) -> Json:
    names = ("city", "region", "country", "latitude", "longitude")
    return {"location": f"{place[0]}, {place[2]}"} | dict(zip(names, place, strict=True))


def _compensation(rng: Random, country: str) -> Json:
    hourly = rng.random() < 0.2  # noqa: PLR2004 - a probability
    low = rng.randint(15, 60) if hourly else rng.randint(40, 180) * 1_000
    return {
        "min": low,
        "max": mostly(rng, 0.9, low * 1.25),
        "currency": words.CURRENCIES.get(country, "USD"),
        "period": "hourly" if hourly else "yearly",
    }


def _qualifications(rng: Random) -> Json:
    skills = rng.sample(list(words.SKILLS), rng.randint(0, 4))
    return {
        "education": rng.sample(words.EDUCATION, rng.randint(0, 1)),
        "certifications": rng.sample(words.CERTIFICATIONS, rng.randint(0, 1)),
        "skills": [{"name": name, "type": words.SKILLS[name]} for name in skills],
    }
