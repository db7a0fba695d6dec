"""Who answers questions: the board that connects logins with people, and stored answers."""
