{{ config(
    materialized="incremental",
    on_schema_change="fail",
    unique_key="model",
    incremental_strategy=jobo.by_key(),
) }}

{{ jobo.changes_of(["stg_jobo__career_sites", "stg_jobo__companies"]) }}
