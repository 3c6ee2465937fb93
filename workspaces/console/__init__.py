"""The pages of workspaces."""
