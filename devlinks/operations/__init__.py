"""Every write that somebody causes to dev links, by noun."""
