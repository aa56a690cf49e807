{{ config(enabled=var('jobo__using_jobs')) }}
{{ jobo.base(source('jobo', 'jobs'), 'jobs', 'jobo__using_jobs') }}
