"""A graph of recipes as work of engines that run graphs: GitHub, GitLab, Slurm, Kubernetes."""
