"""Plays random histories of the archive's rules: `just histories SEED COUNT`.

They are those of tests/sync/world, with runs in memory. The first one that breaks a promise is
shown with as few steps as break it. 2,000 take a minute.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.sync.world.histories import find_wrong


def main() -> None:
    """Play histories, and exit with 1 if one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("count", type=int)
    arguments = parser.parse_args()
    if wrong := find_wrong(arguments.seed, arguments.count):
        sys.exit(wrong)
    sys.stdout.write(f"{arguments.count:,} histories with the seed {arguments.seed}: all right.\n")


if __name__ == "__main__":
    main()
