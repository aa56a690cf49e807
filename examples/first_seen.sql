-- Records when each career site was first seen. Run it after every run of the pipeline.
--
-- Needs: the table career_sites, with the loader's _sdc_extracted_at (it is there by default).
-- Creates: the table career_sites_first_seen, and adds the sites that are not in it yet.
--
-- Nothing in career_sites says what is new: rows are upserted, every _sdc_ column is overwritten
-- with its row, and updated_at is null or says when a site changed. This table remembers.
--
-- The first run records all sites with null: they existed before, nobody knows since when. Run it
-- for the first time when the backfill is complete (the log says "the sync is complete"). If you
-- ran it earlier, or if a resync or wider filters brought in old sites:
--     UPDATE career_sites_first_seen SET first_seen_at = NULL; -- WHERE first_seen_at >= ...
--
-- first_seen_at is when the tap read the row. That is not when the company opened the site, but at
-- most one run of the pipeline after Jobo found it. With filters it can also be when the company
-- started to match them. If you skip this file after some runs, and the row was read again in the
-- meantime, it is the latest of these reads. The time zone is that of the loader's session (SHOW
-- timezone). ats is the value when first seen, so that a later move does not change the past.

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
