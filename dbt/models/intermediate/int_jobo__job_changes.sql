{{ config(
    enabled=jobo.uses_jobs(),
    materialized="incremental",
    on_schema_change="fail",
    unique_key="model",
    incremental_strategy=jobo.by_key(),
) }}

{{ jobo.changes_of(["stg_jobo__jobs", "stg_jobo__expired_jobs"]) }}
