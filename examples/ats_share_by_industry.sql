-- Which applicant tracking systems do the career sites of each industry use?
--
-- Needs: the table career_sites.
-- Gives: one row per industry and ATS, with the largest industries and shares first.
--
-- A site with several industry tags counts in each of them. The shares of one industry add up to
-- 100 percent, but do not add up sites across industries.

WITH tagged AS (
    SELECT DISTINCT id, coalesce(ats, 'unknown') AS ats, unnest(industries) AS industry
    FROM career_sites
),

counted AS (
    SELECT industry, ats, count(*) AS sites
    FROM tagged
    WHERE industry IS NOT NULL
    GROUP BY industry, ats
)

SELECT
    industry,
    ats,
    sites,
    sum(sites) OVER whole AS of_sites,
    round(100 * sites / sum(sites) OVER whole, 1) AS percent
FROM counted
WINDOW whole AS (PARTITION BY industry)
ORDER BY of_sites DESC, industry, sites DESC, ats;
