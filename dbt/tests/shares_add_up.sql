-- Shares of an industry that do not add up to 100 percent, but for rounding, or sites that do not
-- add up to the whole.
select
    industry,
    sum(percent) as percent,
    sum(sites) as sites
from {{ ref("jobo__ats_share") }}
group by industry
having abs(sum(percent) - 100) > 0.5 or sum(sites) <> max(of_sites)
