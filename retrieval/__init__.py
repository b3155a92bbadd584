"""What is to be forgotten, and where is it near."""
