"""Network definitions: plain torch modules whose attribute names equal OpenMMLab's checkpoint keys."""
