"""From records and verdicts to pages."""
