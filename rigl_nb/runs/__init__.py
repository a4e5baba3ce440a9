"""Many runs and what they leave: records, where they are kept, and the engine that trains what is missing."""
