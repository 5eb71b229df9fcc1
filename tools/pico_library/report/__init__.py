"""What runs saved, for people and programs: facts from the journal, and a web page made of them."""
