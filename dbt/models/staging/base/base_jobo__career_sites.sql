{{ jobo.base(source('jobo', 'career_sites'), 'career_sites') }}
