"""Heatmaps decoded as DARK does (a second-order step from the peak), on crops 256 wide and 256 high."""

_base_ = './msra-256x256.py'

codec = dict(unbiased=True)
