"""Heatmaps decoded as DARK does (a second-order step from the peak), on crops 288 wide and 384 high."""

_base_ = './msra-384x288.py'

codec = dict(unbiased=True)
