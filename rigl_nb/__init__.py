"""An executable reproduction of "[Re] Rigging the Lottery: Making All Tickets Winners".

The files of this folder are one sparse training run, read from `distributions` to `train`.
`rigl_nb.runs` keeps what many runs leave, `rigl_nb.experiments` says which the report asks for, `rigl_nb.claims` judges
them, and `rigl_nb.report` turns all that into tables, figures and pages.
"""
