"""The command `tap-jobo-journal`: list, export, and drop what the journal holds."""

from __future__ import annotations

from tap_jobo.journal.command import main

if __name__ == "__main__":
    main()
