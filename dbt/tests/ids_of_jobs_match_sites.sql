-- Jobs whose company has the id of a career site in another spelling, such as without dashes: the loader stores
-- ids differently in the two tables, so the models don't join them. That a job's company is not in career_sites is
-- no fault, because the two streams can have different filters.
{{ config(severity="warn", enabled=jobo.uses_jobs()) }}

{{ jobo.misspelled_ids(ref("stg_jobo__jobs"), "job_id") }}
