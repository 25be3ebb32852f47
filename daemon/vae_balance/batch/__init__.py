"""Many photos at once: the plan, the request, the report, and who does the work."""
