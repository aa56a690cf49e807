{{ config(enabled=var('jobo__using_companies')) }}
{{ jobo.base(source('jobo', 'companies'), 'companies', 'jobo__using_companies') }}
