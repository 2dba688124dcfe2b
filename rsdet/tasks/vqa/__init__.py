"""Task ``vqa``: questions about pictures, answered from a list of answers."""
