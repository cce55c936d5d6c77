"""The UG-ICM network: analysis, mean network, integer scale network and preference-conditioned synthesis."""
