-- The current directory of career sites: one row per site, with columns ready for a BI tool.
--
-- Needs: the table career_sites. To add profiles, see current_directory_profiles.sql.
-- Creates: the view current_directory. While it exists, Postgres cannot drop its tables or change
--          the type of a column: run DROP VIEW current_directory first, then this file again.
--
-- Use domain to match your own list of companies. Career sites are updated, never expired: a row
-- says what Jobo knew when the tap last read it. That time is read_at, in the time zone of the
-- loader's session (SHOW timezone). updated_at is null unless the API sends it.

CREATE OR REPLACE VIEW current_directory AS
SELECT
    id,
    name,
    lower(substring(website FROM '(?i)^https?://(?:www\.)?([^/:?#]+)')) AS domain,
    ats,
    listing_url,
    industries[1] AS first_industry,
    array_to_string(industries, ', ') AS industries,
    summary,
    website,
    linkedin_url,
    crunchbase_url,
    updated_at,
    _sdc_extracted_at AS read_at
FROM career_sites;
