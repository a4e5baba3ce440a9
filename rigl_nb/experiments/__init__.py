"""What the report trains: profiles, grids of runs, searches, and the values that it printed."""
