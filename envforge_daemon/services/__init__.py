"""Services of workspaces, and commands beside them: started with their inputs, kept, watched, stopped (DESIGN 7)."""
