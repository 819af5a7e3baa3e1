"""What both saga services answer about their sagas, by one implementation."""
