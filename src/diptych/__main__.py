"""Run the command line as ``python -m diptych``."""

from diptych.cli.main import main

main()
