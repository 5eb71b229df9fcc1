"""Where photos, .pico files and the journal lie, and what is done to them there."""
