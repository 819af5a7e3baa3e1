"""`python -m stack.audit`."""

import sys

from stack.audit.run import main

sys.exit(main())
