"""Everything that exists because MMPose has it: its demos, its Inferencer, its functions and what they return."""
