-- Which applicant tracking systems do career sites use?
SELECT ats, sites, percent
FROM analytics.jobo__ats_share
WHERE industry = '(all)'
ORDER BY sites DESC, ats
LIMIT 5;

-- In which countries are the open jobs?
SELECT country, count(DISTINCT job_id) AS jobs
FROM analytics.jobo__job_locations
WHERE is_open
GROUP BY country
ORDER BY jobs DESC, country
LIMIT 5;

-- Which companies have the most open jobs?
SELECT company_name, count(*) AS jobs
FROM analytics.jobo__open_jobs
GROUP BY career_site_id, company_name
ORDER BY jobs DESC, company_name
LIMIT 5;

-- How many jobs open each week, by applicant tracking system?
SELECT date_trunc('week', opened_at)::date AS week, ats, count(*) AS opened
FROM analytics.jobo__job_openings
WHERE ats IN ('greenhouse', 'lever', 'workday')
GROUP BY week, ats
ORDER BY week DESC, ats
LIMIT 6;

-- How many jobs are remote, by the month in which they opened?
SELECT
    date_trunc('month', opened_at)::date AS month,
    round(100.0 * count(*) FILTER (WHERE workplace_type = 'Remote') / count(*), 1) AS percent_remote
FROM analytics.jobo__job_openings
GROUP BY month
ORDER BY month;

-- Which levels are hired, by the month in which jobs opened?
SELECT date_trunc('month', opened_at)::date AS month, experience_level, count(*) AS jobs
FROM analytics.jobo__job_openings
WHERE experience_level IN ('Entry', 'Lead', 'Senior')
GROUP BY month, experience_level
ORDER BY month, experience_level;

-- What does each level pay per year?
SELECT experience_level, count(*) AS jobs, percentile_disc(0.5) WITHIN GROUP (ORDER BY yearly_pay_max) AS median
FROM analytics.jobo__open_jobs
WHERE pay_currency = 'USD' AND yearly_pay_max IS NOT NULL
GROUP BY experience_level
ORDER BY median DESC;

-- How does pay develop?
SELECT
    date_trunc('month', opened_at)::date AS month,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY yearly_pay_max) AS median
FROM analytics.jobo__job_openings
WHERE pay_currency = 'USD' AND yearly_pay_max IS NOT NULL
GROUP BY month
ORDER BY month;

-- Which roles pay the most in the United States?
SELECT role, jobs, lower_quartile, median, upper_quartile
FROM analytics.jobo__pay_by_role
WHERE country = 'United States' AND currency = 'USD' AND jobs >= 3
ORDER BY median DESC, role
LIMIT 5;

-- Which skills do open jobs of a role ask for?
SELECT skill, count(*) FILTER (WHERE is_required) AS required_by, count(*) FILTER (WHERE is_preferred) AS preferred_by
FROM analytics.jobo__job_skills
WHERE role = 'software_engineer' AND is_open
GROUP BY skill
ORDER BY count(*) DESC, skill
LIMIT 5;

-- Which companies that use React are hiring?
SELECT open_jobs.company_name, count(*) AS jobs
FROM analytics.jobo__technologies AS technologies
INNER JOIN analytics.jobo__open_jobs AS open_jobs USING (career_site_id)
WHERE technologies.technology = 'react'
GROUP BY career_site_id, company_name
ORDER BY jobs DESC, company_name
LIMIT 3;

-- Which companies that raised money are hiring?
SELECT rounds.name, rounds.investment_type, rounds.raised_usd, count(*) AS open_jobs
FROM analytics.jobo__funding_rounds AS rounds
INNER JOIN analytics.jobo__open_jobs AS open_jobs USING (career_site_id)
WHERE rounds.announced_on >= '2024-01-01'
GROUP BY career_site_id, rounds.name, rounds.investment_type, rounds.announced_on, rounds.raised_usd
ORDER BY rounds.raised_usd DESC NULLS LAST, rounds.name
LIMIT 5;
