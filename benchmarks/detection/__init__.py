"""The detection benchmark: suites of public data, naive gates beside ours, the table, the picture."""
