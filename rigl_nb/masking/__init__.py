"""What a `Sparsifier` is made of: weights that stay masked, masks that move, and the optimizer that steps them."""
