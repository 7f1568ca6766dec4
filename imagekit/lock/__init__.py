"""What a recipe's packages were resolved to, kept beside it in ``recipe.lock``."""
