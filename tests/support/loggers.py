"""The logger of tests that look at no log line."""

import logging

LOGGER = logging.getLogger("tests.silent")
LOGGER.propagate = False
LOGGER.addHandler(logging.NullHandler())
