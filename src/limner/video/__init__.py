"""Videos, streams and cameras: reading and writing them, and the way of their frames through the pipeline.

Nothing is imported here, so that images need not load what reads videos.
"""
