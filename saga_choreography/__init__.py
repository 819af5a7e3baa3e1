"""saga_choreography: accepts choreographed checkouts, shows them from their events, and asks for cancellations."""
