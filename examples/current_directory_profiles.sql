-- The current directory, joined to the company's profile if there is one: one row per site.
--
-- Needs: the tables career_sites and companies (select companies.*; profiles are free).
-- Creates: the view current_directory_profiles. While it exists, Postgres cannot drop its tables or
--          change the type of a column: run DROP VIEW current_directory_profiles first, then this
--          file again.
--
-- The API sends years, sizes and amounts as text. employees_from is the lower end of the size band,
-- to sort and filter by. Text that is not a number is null here and unchanged in companies.
-- has_profile is false if no profile was ever read.

CREATE OR REPLACE VIEW current_directory_profiles AS
SELECT
    site.id,
    site.name,
    lower(substring(site.website FROM '(?i)^https?://(?:www\.)?([^/:?#]+)')) AS domain,
    site.ats,
    site.listing_url,
    array_to_string(site.industries, ', ') AS industries,
    profile.id IS NOT NULL AS has_profile,
    profile.country_code,
    profile.headquarters_location,
    profile.company_size,
    substring(profile.company_size FROM '^(\d{1,9})(?:-\d+|\+)$')::integer AS employees_from,
    substring(profile.founding_year FROM '^\d{4}$')::integer AS founded,
    profile.company_type,
    profile.is_agency,
    profile.operating_status,
    profile.funding_stage,
    substring(profile.total_funding FROM '^\d+$')::numeric AS total_funding,
    array_to_string(profile.technology_list, ', ') AS technologies,
    site._sdc_extracted_at AS read_at
FROM career_sites AS site
LEFT JOIN companies AS profile USING (id);
