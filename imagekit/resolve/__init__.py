"""Finding which packages a recipe is made of: apt and pip resolve, and locks keep it."""
