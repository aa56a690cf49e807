-- Profiles that have the id of a career site in another spelling, as in ids_of_jobs_match_sites. A profile can be
-- read by its id alone, so that its company is not in career_sites is no fault.
{{ config(severity="warn", enabled=var("jobo__using_companies")) }}

{{ jobo.misspelled_ids(ref("stg_jobo__companies"), "career_site_id") }}
