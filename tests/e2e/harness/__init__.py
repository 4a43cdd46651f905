"""Real programs around a real agent and collector, and the means to compare what they say."""

import sys

# A test never leaves compiled files in the source tree.
sys.dont_write_bytecode = True
