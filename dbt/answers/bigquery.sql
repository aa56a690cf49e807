-- Which applicant tracking systems do career sites use?
SELECT ats, sites, percent
FROM analytics.jobo__ats_share
WHERE industry = '(all)'
ORDER BY sites DESC, ats
LIMIT 5;

-- Which companies recently switched their applicant tracking system?
SELECT name, from_ats, to_ats, CAST(moved_at AS date) AS moved_on
FROM analytics.jobo__ats_moves
ORDER BY moved_at DESC, name NULLS LAST
LIMIT 5;

-- Which countries have the most open jobs?
SELECT country, count(DISTINCT job_id) AS jobs
FROM analytics.jobo__job_locations
WHERE is_open
GROUP BY country
ORDER BY jobs DESC, country NULLS LAST
LIMIT 5;

-- Which companies have the most open jobs?
SELECT company_name, count(*) AS jobs
FROM analytics.jobo__open_jobs
GROUP BY career_site_id, company_name
ORDER BY jobs DESC, company_name NULLS LAST
LIMIT 5;

-- Which companies opened more jobs this quarter than last quarter?
WITH companies AS (
    SELECT
        company_name,
        sum(CASE WHEN opened_at < '2026-10-01' THEN 1 ELSE 0 END) AS last_quarter,
        sum(CASE WHEN opened_at >= '2026-10-01' THEN 1 ELSE 0 END) AS this_quarter
    FROM analytics.jobo__job_openings
    WHERE opened_at >= '2026-07-01'
    GROUP BY career_site_id, company_name
)

SELECT company_name, last_quarter, this_quarter
FROM companies
WHERE this_quarter > last_quarter
ORDER BY this_quarter - last_quarter DESC, company_name NULLS LAST
LIMIT 5;

-- Which jobs are new since October 26?
SELECT title, company_name, location
FROM analytics.jobo__open_jobs
WHERE created_at >= '2026-10-26'
ORDER BY created_at DESC
LIMIT 5;

-- How many jobs open each week, by applicant tracking system?
SELECT date_trunc(CAST(opened_at AS date), ISOWEEK) AS week, ats, count(*) AS opened
FROM analytics.jobo__job_openings
WHERE ats IN ('greenhouse', 'lever', 'workday')
GROUP BY week, ats
ORDER BY week DESC, ats
LIMIT 6;

-- How long do openings stay open?
SELECT normalized_title AS role, count(*) AS closed, round(avg(days_open)) AS days
FROM analytics.jobo__job_openings
WHERE closed_at IS NOT NULL
GROUP BY role
HAVING count(*) >= 5
ORDER BY days, role NULLS LAST
LIMIT 5;

-- What percentage of each month's new jobs is remote?
SELECT
    date_trunc(CAST(opened_at AS date), MONTH) AS month,
    round(100.0 * sum(CASE WHEN workplace_type = 'Remote' THEN 1 ELSE 0 END) / count(*), 1) AS percent_remote
FROM analytics.jobo__job_openings
GROUP BY month
ORDER BY month;

-- In each country, what percentage of jobs states the pay, and what percentage is remote?
SELECT
    country,
    count(*) AS jobs,
    round(100.0 * count(yearly_pay_max) / count(*), 1) AS percent_with_pay,
    round(100.0 * sum(CASE WHEN workplace_type = 'Remote' THEN 1 ELSE 0 END) / count(*), 1) AS percent_remote
FROM analytics.jobo__open_jobs
GROUP BY country
ORDER BY jobs DESC, country NULLS LAST
LIMIT 5;

-- What does each experience level pay per year?
WITH ranked AS (
    SELECT
        experience_level,
        yearly_pay_max,
        row_number() OVER (PARTITION BY experience_level ORDER BY yearly_pay_max) AS place,
        count(*) OVER (PARTITION BY experience_level) AS jobs
    FROM analytics.jobo__open_jobs
    WHERE pay_currency = 'USD' AND yearly_pay_max IS NOT NULL
)

SELECT experience_level, jobs, yearly_pay_max AS median
FROM ranked
WHERE 2 * place IN (jobs, jobs + 1)
ORDER BY median DESC;

-- How does pay change from month to month, for the same mix of roles and countries?
WITH months AS (
    SELECT date_trunc(CAST(opened_at AS date), MONTH) AS month, normalized_title, country, avg(yearly_pay_max) AS pay, count(*) AS jobs
    FROM analytics.jobo__job_openings
    WHERE pay_currency = 'USD' AND yearly_pay_max IS NOT NULL
    GROUP BY month, normalized_title, country
),

-- The roles and countries of every month, with their weights over all months.
mix AS (
    SELECT normalized_title, country, sum(jobs) AS weight
    FROM months
    GROUP BY normalized_title, country
    HAVING count(*) = (SELECT count(DISTINCT month) FROM months)
)

SELECT months.month, round(sum(months.pay * mix.weight) / sum(mix.weight)) AS pay
FROM months
INNER JOIN mix ON mix.normalized_title = months.normalized_title AND mix.country = months.country
GROUP BY months.month
ORDER BY months.month;

-- Which roles pay the most in the United States?
SELECT role, jobs, lower_quartile, median, upper_quartile
FROM analytics.jobo__pay_by_role
WHERE country = 'United States' AND currency = 'USD' AND jobs >= 3
ORDER BY median DESC, role
LIMIT 5;

-- Which skills do open jobs for software engineers ask for?
SELECT
    skill,
    sum(CASE WHEN is_required THEN 1 ELSE 0 END) AS required_by,
    sum(CASE WHEN is_preferred THEN 1 ELSE 0 END) AS preferred_by
FROM analytics.jobo__job_skills
WHERE role = 'software_engineer' AND is_open
GROUP BY skill
ORDER BY count(*) DESC, skill
LIMIT 5;

-- Which companies that use React are hiring?
SELECT open_jobs.company_name, count(*) AS jobs
FROM analytics.jobo__technologies AS technologies
INNER JOIN analytics.jobo__open_jobs AS open_jobs ON open_jobs.career_site_id = technologies.career_site_id
WHERE technologies.technology = 'react'
GROUP BY open_jobs.career_site_id, open_jobs.company_name
ORDER BY jobs DESC, open_jobs.company_name NULLS LAST
LIMIT 3;

-- Which companies that raised money since 2024 are hiring?
SELECT rounds.name, rounds.investment_type, rounds.raised_usd, count(*) AS open_jobs
FROM analytics.jobo__funding_rounds AS rounds
INNER JOIN analytics.jobo__open_jobs AS jobs ON jobs.career_site_id = rounds.career_site_id
WHERE rounds.announced_on >= '2024-01-01'
GROUP BY rounds.career_site_id, rounds.name, rounds.investment_type, rounds.announced_on, rounds.raised_usd
ORDER BY rounds.raised_usd DESC NULLS LAST, rounds.name NULLS LAST
LIMIT 5;
