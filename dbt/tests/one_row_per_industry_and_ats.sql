select industry, ats
from {{ ref("jobo__ats_share") }}
group by industry, ats
having count(*) > 1
