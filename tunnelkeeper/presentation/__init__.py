"""Text for people: amounts, times, forwards and failure reasons. Pure, without colours."""
