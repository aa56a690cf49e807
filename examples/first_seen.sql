-- Notes when each career site was first seen. Run it after every run of the pipeline.
--
-- Needs: the table career_sites, with the loader's _sdc_extracted_at (it is there by default).
-- Makes: the table career_sites_first_seen, and adds to it the sites that it does not know.
--
-- Nothing in career_sites says what is new: rows are upserted, every _sdc_ column is overwritten
-- with the row, and updated_at is null or says when a site changed. So this table remembers.
--
-- The first run notes the sites of that day with null: they were there before, nobody knows
-- since when. So run it first when the backfill is complete (the log says "the scan is
-- complete"). If it was earlier, or after a resync or wider filters brought old sites:
--     UPDATE career_sites_first_seen SET first_seen_at = NULL; -- WHERE first_seen_at >= ...
--
-- first_seen_at is when the tap read the row: not when the company opened the site, nor when Jobo
-- found it, but at most one run of the pipeline after that. With filters it can also be when the
-- company came to match them. If this file skips some runs, and the row was read again meanwhile,
-- it is the last reading. Time is as the loader stores it: in the zone of its session (SHOW
-- timezone). ats is the one at first sight, so that a move later on does not change the past.

CREATE TABLE IF NOT EXISTS career_sites_first_seen (
    id uuid PRIMARY KEY,
    ats text,
    first_seen_at timestamp
);

INSERT INTO career_sites_first_seen (id, ats, first_seen_at)
SELECT
    id,
    ats,
    CASE WHEN EXISTS (SELECT FROM career_sites_first_seen) THEN _sdc_extracted_at END
FROM career_sites
ON CONFLICT (id) DO NOTHING;
