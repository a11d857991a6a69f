"""Compatibility with MMPose: its demos, its Inferencer, its functions and the objects that they return."""
