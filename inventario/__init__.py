"""inventario: products and their stock; holds stock for sagas, sells it, gives it back."""
