"""What leaves training: how much faster a smaller network is, and ways to run it elsewhere."""
