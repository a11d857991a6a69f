"""Videos, streams and cameras: reading, writing, and running the pipeline on their frames.

Nothing is imported here, so that a run on images does not load PyAV.
"""
