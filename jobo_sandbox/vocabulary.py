"""The words that companies and jobs are made of."""


def _words(text: str) -> list[str]:
    return text.split()


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(text.split(", "))


FIRST_WORDS = _words(
    "Amber Anchor Arbor Atlas Beacon Birch Blue Bright Cedar Cinder Clear Cobalt Copper Coral "
    "Delta Drift Ember Falcon Fjord Flint Gentle Granite Harbor Hazel Helio Indigo Iron Juniper "
    "Kite Lantern Lumen Maple Meridian Mosaic Nimbus North Nova Oak Onyx Opal Orchid Pebble Pine "
    "Quartz Quill Raven River Saffron Sierra Silver Slate Sol Spruce Stone Summit Tidal Umber "
    "Velvet Vertex Violet Willow Zephyr Zürich Ångström Étoile"
)
SECOND_WORDS = _words(
    "Analytics Bank Biologics Bio Capital Care Cloud Commerce Data Dental Diagnostics Dynamics "
    "Education Energy Finance Foods Freight Games Genomics Health Insurance Labs Learning Legal "
    "Logistics Materials Media Mobility Motors Networks Optics Payments Pharma Power Robotics "
    "Security Semiconductors Software Solar Staffing Studios Systems Therapeutics Travel Ventures "
    "Water Wireless Works"
)
ENDINGS = ("", "", "", " Inc.", " GmbH", " Ltd", " Group", " AG", " SAS", " & Co.")

INDUSTRIES = _words(
    "aerospace agriculture artificial_intelligence automotive biotech climate_tech construction "
    "consumer_goods cybersecurity e_commerce education energy fintech gaming healthcare insurance "
    "legal logistics manufacturing media nonprofit real_estate recruiting retail saas "
    "semiconductors telecom travel"
)
COUNTRIES = {
    "US": ("San Francisco", "North America"),
    "GB": ("London", "Europe"),
    "DE": ("Berlin", "Europe"),
    "FR": ("Paris", "Europe"),
    "NL": ("Amsterdam", "Europe"),
    "CH": ("Zürich", "Europe"),
    "SE": ("Stockholm", "Europe"),
    "CA": ("Toronto", "North America"),
    "IN": ("Bengaluru", "Asia"),
    "SG": ("Singapore", "Asia"),
    "AU": ("Sydney", "Oceania"),
    "BR": ("São Paulo", "South America"),
}
COUNTRY_WEIGHTS = (40, 12, 10, 7, 5, 4, 3, 6, 6, 3, 3, 3)
COMPANY_SIZES = _phrases("1-10, 11-50, 51-200, 201-500, 501-1000, 1001-5000, 5001-10000, 10001+")
FUNDING_STAGES = ("pre_seed", "seed", "series_a", "series_b", "series_c", "series_d", "ipo")

# Where a company's jobs are listed, by applicant tracking system.
LISTING_URLS = {
    "greenhouse": "https://boards.greenhouse.io/{slug}",
    "lever": "https://jobs.lever.co/{slug}",
    "workday": "https://{slug}.wd3.myworkdayjobs.com/careers",
    "ashby": "https://jobs.ashbyhq.com/{slug}",
    "smartrecruiters": "https://careers.smartrecruiters.com/{slug}",
    "workable": "https://apply.workable.com/{slug}",
    "personio": "https://{slug}.jobs.personio.de",
    "teamtailor": "https://{slug}.teamtailor.com/jobs",
    "recruitee": "https://{slug}.recruitee.com",
    "bamboohr": "https://{slug}.bamboohr.com/careers",
    "icims": "https://careers-{slug}.icims.com/jobs",
    "own_site": "https://{slug}.example/careers",
}

ACTIVITIES = _phrases(
    "builds tools for, runs a marketplace for, advises the leaders of, automates the daily work "
    "of, makes hardware for, publishes data about, develops software for"
)
CUSTOMERS = _phrases(
    "hospitals and clinics, small manufacturers, banks and insurers, schools and universities, "
    "carriers and warehouses, growing online shops, research laboratories, city administrations, "
    "energy providers"
)
FIRST_NAMES = _words("Ada Amir Chloé Diego Emeka Grace Hana Ines Jonas Lena Mei Noah Priya Sofia")
LAST_NAMES = _words("Adeyemi Bauer Costa Dubois García Ito Jansen Khan Lindström Novak Patel Rossi")
TITLES = ("Chief Executive Officer", "Chief Technology Officer", "Head of People", "VP Sales")
INVESTORS = ("Lakeside Ventures", "Fourth Wall Capital", "Northlight", "Ridge Partners", "Hatch")
TECHNOLOGIES = {
    "PostgreSQL": ["databases"],
    "Kubernetes": ["infrastructure", "orchestration"],
    "React": ["web"],
    "Kafka": ["streaming"],
    "Snowflake": ["databases", "analytics"],
}

# City, region, country, latitude and longitude.
JOB_LOCATIONS = (
    ("San Francisco", "California", "United States", 37.7749, -122.4194),
    ("Austin", "Texas", "United States", 30.2672, -97.7431),
    ("New York", "New York", "United States", 40.7128, -74.006),
    ("London", "England", "United Kingdom", 51.5074, -0.1278),
    ("Berlin", "Berlin", "Germany", 52.52, 13.405),
    ("München", "Bavaria", "Germany", 48.1351, 11.582),
    ("Paris", "Île-de-France", "France", 48.8566, 2.3522),
    ("Amsterdam", "North Holland", "Netherlands", 52.3676, 4.9041),
    ("Zürich", "Zürich", "Switzerland", 47.3769, 8.5417),
    ("Toronto", "Ontario", "Canada", 43.6532, -79.3832),
    ("Bengaluru", "Karnataka", "India", 12.9716, 77.5946),
    ("Singapore", "Singapore", "Singapore", 1.3521, 103.8198),
)
CURRENCIES = {
    "United Kingdom": "GBP",
    "Germany": "EUR",
    "France": "EUR",
    "Netherlands": "EUR",
    "Switzerland": "CHF",
    "Canada": "CAD",
    "India": "INR",
    "Singapore": "SGD",
}
JOB_TITLES = _phrases(
    "Software Engineer, Data Engineer, Data Analyst, Product Manager, UX Designer, Account "
    "Executive, Customer Success Manager, Recruiter, Financial Analyst, Site Reliability "
    "Engineer, Marketing Manager, Mechanical Engineer, Registered Nurse, Warehouse Associate"
)
# The values that the filters take, with the spellings that rows use.
WORK_MODELS = {"remote": ("Remote",), "hybrid": ("Hybrid",), "onsite": ("On-site", "Onsite")}
EMPLOYMENT_TYPES = {
    name: (name.capitalize(),)
    for name in _words("full-time part-time contract internship freelance temporary")
}
EMPLOYMENT_WEIGHTS = (75, 8, 8, 4, 2, 3)
EXPERIENCE_LEVELS = {
    "intern": ("Intern", "Internship"),
    "entry": ("Entry", "Entry Level"),
    "mid": ("Mid", "Mid Level"),
    "senior": ("Senior", "Senior Level"),
    "lead": ("Lead",),
    "executive": ("Executive",),
}
TASKS = (
    "Own projects from the first idea to production.",
    "Work with customers to understand what they need.",
    "Review the work of others and share what you know.",
    "Improve how we measure quality.",
    "Plan and document the next quarter with your team.",
    "Keep our services reliable and our costs in check.",
)
BENEFITS = _phrases(
    "30 days of vacation, Health insurance, Learning budget, Stock options, Flexible hours, "
    "Parental leave, Relocation support"
)
EDUCATION = ("Bachelor's degree", "Master's degree", "Vocational training")
CERTIFICATIONS = ("PMP", "AWS Certified Developer", "CPA", "Scrum Master")
SKILLS = {
    **dict.fromkeys(_phrases("Python, SQL, Kubernetes, Salesforce, Forklift operation"), "hard"),
    **dict.fromkeys(_phrases("Communication, Teamwork, Problem solving"), "soft"),
}
