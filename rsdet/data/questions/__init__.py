"""Questions about pictures and their answers: files that hold them, words and answers as numbers."""
