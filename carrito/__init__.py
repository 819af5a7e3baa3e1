"""carrito: carts and orders; decides which cart is being checked out, and by which saga."""
