"""The pages of dev links, and the door by which members come to dev hosts."""
