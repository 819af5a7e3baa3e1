"""saga_choreography: the way in to checkouts that nobody is in charge of, and the window on them."""
