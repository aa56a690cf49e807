{{ config(enabled=var('jobo__using_jobs')) }}
{{ jobo.base(source('jobo', 'expired_jobs'), 'expired_jobs', 'jobo__using_jobs') }}
