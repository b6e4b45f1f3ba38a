#!/usr/bin/env python
"""Django's command line: `manage.py serve`, `import_session`, `demo`, `verify_recording`, …"""

from replayproject.command_line import main

if __name__ == "__main__":
    main()
