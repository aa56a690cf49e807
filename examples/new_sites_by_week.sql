-- How many new career sites appeared each week, by ATS?
--
-- Needs: the table career_sites_first_seen, filled by first_seen.sql after every run of the
--        pipeline. That file explains what "new" can and cannot mean.
-- Gives: one row per week and ATS, the latest weeks first. A week is named by its Monday; a week
--        without new sites has no row. Sites found by the first run of first_seen.sql are not
--        counted, so the result is empty until a later run finds new ones.

SELECT
    date_trunc('week', first_seen_at)::date AS week,
    coalesce(ats, 'unknown') AS ats,
    count(*) AS new_sites
FROM career_sites_first_seen
WHERE first_seen_at IS NOT NULL
GROUP BY 1, 2
ORDER BY week DESC, new_sites DESC, ats;
