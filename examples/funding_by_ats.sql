-- Which companies use each ATS: in how many countries, how large, and how well funded?
--
-- Needs: the tables career_sites and companies (select companies.*; profiles are free).
-- Gives: one row per ATS, for companies with a profile, sorted by the number of companies.
--
-- funding_rounds is an array of JSONB objects, so unnest gives one row per round. The API sends
-- amounts as text. Amounts such as $330M, $1.5B or 1,200,000 are read as millions of US dollars.
-- The column unread counts the other ones, which the median does not include.

WITH profiles AS (
    SELECT
        coalesce(site.ats, 'unknown') AS ats,
        profile.country_code,
        substring(profile.company_size FROM '^(\d{1,9})(?:-\d+|\+)$')::integer AS employees_from,
        profile.funding_rounds
    FROM career_sites AS site
    INNER JOIN companies AS profile USING (id)
),

amounts AS (
    SELECT
        ats,
        substring(item ->> 'announced_on' FROM '^\d{4}-\d\d-\d\d$') AS announced_on,
        regexp_match(item ->> 'raised_amount', '^\$?([\d,]*\d(?:\.\d+)?)([KMB]?)$') AS parts
    FROM profiles
    CROSS JOIN LATERAL unnest(funding_rounds) AS item
),

rounds AS (
    SELECT
        ats,
        announced_on,
        replace(parts[1], ',', '')::numeric
        * CASE parts[2] WHEN 'K' THEN 0.001 WHEN 'M' THEN 1 WHEN 'B' THEN 1000 ELSE 0.000001 END
        AS millions
    FROM amounts
),

by_ats AS (
    SELECT
        ats,
        count(*) AS companies,
        count(DISTINCT country_code) AS countries,
        count(*) FILTER (WHERE employees_from > 500) AS over_500_people,
        count(*) FILTER (WHERE cardinality(funding_rounds) > 0) AS funded
    FROM profiles
    GROUP BY ats
),

raised AS (
    SELECT
        ats,
        count(*) AS rounds,
        round(percentile_cont(0.5) WITHIN GROUP (ORDER BY millions)::numeric, 1) AS median_millions,
        count(*) FILTER (WHERE millions IS NULL) AS unread,
        max(announced_on) AS last_round_on
    FROM rounds
    GROUP BY ats
)

SELECT
    by_ats.ats,
    by_ats.companies,
    by_ats.countries,
    by_ats.over_500_people,
    by_ats.funded,
    coalesce(raised.rounds, 0) AS rounds,
    raised.median_millions,
    coalesce(raised.unread, 0) AS unread,
    raised.last_round_on
FROM by_ats
LEFT JOIN raised USING (ats)
ORDER BY by_ats.companies DESC, by_ats.ats;
