-- Fills the history of career sites from every version that was bought: `tap-jobo-archive export`.
-- Before, build the package once over the tables that were loaded from the archive.
BEGIN;

CREATE TEMPORARY TABLE exported (line jsonb) ON COMMIT DROP;
-- Quotes and delimiters that no line has: each line is one value.
\copy exported FROM 'career_sites.jsonl' WITH (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')

-- Sites that the loader's table no longer has keep what they have.
DELETE FROM analytics.jobo__career_sites_history
WHERE career_site_id IN (SELECT career_site_id FROM analytics.stg_jobo__career_sites);

INSERT INTO analytics.jobo__career_sites_history (
    career_site_id, name, website, domain, summary, industries, linkedin_url, crunchbase_url, logo_url,
    ats, listing_url, details_url, updated_at, read_at, loaded_at,
    dbt_scd_id, dbt_updated_at, dbt_valid_from, dbt_valid_to
)
WITH versions AS (
    SELECT
        sites.career_site_id,
        nullif(line -> 'row' ->> 'name', '') AS name,
        nullif(line -> 'row' ->> 'website', '') AS website,
        sites.domain,
        nullif(line -> 'row' ->> 'summary', '') AS summary,
        (
            SELECT string_agg(entry, ', ' ORDER BY entry COLLATE "C")
            FROM jsonb_array_elements_text(
                CASE WHEN jsonb_typeof(line -> 'row' -> 'industries') = 'array' THEN line -> 'row' -> 'industries' END
            ) AS entry
            WHERE entry <> ''
        ) AS industries,
        nullif(line -> 'row' ->> 'linkedin_url', '') AS linkedin_url,
        nullif(line -> 'row' ->> 'crunchbase_url', '') AS crunchbase_url,
        sites.logo_url,
        nullif(lower(trim(regexp_replace(line -> 'row' ->> 'ats', '\s+', ' ', 'g'))), '') AS ats,
        nullif(line -> 'row' ->> 'listing_url', '') AS listing_url,
        sites.details_url,
        CAST(line -> 'row' ->> 'updated_at' AS timestamptz) AT TIME ZONE 'UTC' AS updated_at,
        CAST(line ->> 'received_at' AS timestamptz) AT TIME ZONE 'UTC' AS read_at,
        sites.loaded_at
    FROM exported
    INNER JOIN analytics.stg_jobo__career_sites AS sites ON sites.career_site_id = line -> 'row' ->> 'id'
    WHERE line ->> 'stream' = 'career_sites'
),

compared AS (
    SELECT
        *,
        jsonb_build_array(name, website, summary, industries, linkedin_url, crunchbase_url, ats, listing_url) AS content
    FROM versions
),

changes AS (
    SELECT
        *,
        lag(content) OVER (PARTITION BY career_site_id ORDER BY read_at) AS previous
    FROM compared
)

SELECT
    career_site_id, name, website, domain, summary, industries, linkedin_url, crunchbase_url, logo_url,
    ats, listing_url, details_url, updated_at, read_at, loaded_at,
    md5(career_site_id || read_at), read_at, read_at,
    lead(read_at) OVER (PARTITION BY career_site_id ORDER BY read_at)
FROM changes
WHERE content IS DISTINCT FROM previous;

COMMIT;
