"""Results as one self-contained HTML page. Nothing below knows of it, and only the command line is above."""
