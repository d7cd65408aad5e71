"""A small benchmark of the whole chain on neurons whose truth is known.

`design` says what is recorded, `recording` records it, `cell` runs the pipeline on one recording
and shows what it made to the true neurons, `run` keeps what is done, `table` and `calibrate` say
what it means, `publish` writes and compares.
"""
