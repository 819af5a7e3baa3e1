"""`python -m stack.demo`."""

import sys

from stack.demo.run import main

sys.exit(main())
