"""What desktops of the freedesktop kind need to know of .pico files: type, thumbnails, and how to open them."""
