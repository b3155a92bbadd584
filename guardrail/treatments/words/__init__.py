"""What is said in the words of the request's language: natural answers, instructions, closings."""
