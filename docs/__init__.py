"""Pages for people, and the programs that draw and write parts of them."""
