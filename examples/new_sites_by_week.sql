-- How many new career sites came up each week, by ATS?
--
-- Needs: the table career_sites_first_seen, filled by first_seen.sql after every run of the
--        pipeline: see there what "new" can and cannot mean.
-- Gives: one row a week and ATS, the newest weeks first. A week is named by its Monday; one
--        without new sites has no row. Sites that the first filling found are not counted, so it
--        is empty until a later run brings new ones.

SELECT
    date_trunc('week', first_seen_at)::date AS week,
    coalesce(ats, 'unknown') AS ats,
    count(*) AS new_sites
FROM career_sites_first_seen
WHERE first_seen_at IS NOT NULL
GROUP BY 1, 2
ORDER BY week DESC, new_sites DESC, ats;
