#![no_main]
fuzz::target!(onion);
