-- The current directory of career sites: one row a site, with columns ready for a BI tool.
--
-- Needs: the table career_sites. For profiles beside it, see current_directory_profiles.sql.
-- Makes: the view current_directory. While it is there, Postgres drops no table and changes no
--        type of a column under it: DROP VIEW current_directory first, run this file afterwards.
--
-- domain is what to match companies of your own by. Career sites are updated, never expired: a
-- row says what Jobo knew when the tap last read it. That is read_at, in the time zone of the
-- loader's session (SHOW timezone). updated_at is null as long as the API does not send it.

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
