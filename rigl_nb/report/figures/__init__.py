"""How things look: tables, figures and what moves in a notebook."""
