"""From notebooks to the pages of one report."""
