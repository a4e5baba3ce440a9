"""What one section of the report alone needs, and what all of them share."""
