"""What the report says, as claims that can be tested, and how they are judged."""
