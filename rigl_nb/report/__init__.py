"""From records to pages: grids of runs, claims, tables, figures and interactive views."""
