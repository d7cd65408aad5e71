"""Benchmark of the whole pipeline on neurons with known ground truth.

`design` defines the recordings, `recording` simulates them, `cell` runs the pipeline on a recording
and shows the stimuli to the true neurons, `run` runs and stores the cells, `table` and `calibrate`
evaluate the results, and `publish` writes and compares them.
"""
