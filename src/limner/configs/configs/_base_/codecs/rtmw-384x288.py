"""SimCC as RTMW uses it on large crops: visibility is decoded too."""

_base_ = './simcc-384x288.py'

codec = dict(decode_visibility=True)
