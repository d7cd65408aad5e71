"""Benchmarks on neurons with known ground truth.

Of the whole pipeline (``meiflow validate``): `design` defines the recordings, `recording`
simulates them, `cell` runs the pipeline on a recording and shows the stimuli to the true neurons,
`run` runs and stores the cells, `table` and `calibrate` evaluate the results, and `publish` writes
and compares them.

Of any method (``meiflow benchmark``): `entry` defines what a method is given and returns, `methods`
has those that stand in the table, `truths`, `sources` and `networks` the neurons, `score` shows
stimuli to them, `summary` and `cite` describe the result, and `enter` is the command.
"""
