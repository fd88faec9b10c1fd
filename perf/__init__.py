"""Speed: what Headwater costs beside the plain thing, measured in one run on one machine."""
