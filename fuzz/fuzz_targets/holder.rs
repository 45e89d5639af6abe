#![no_main]
fuzz::target!(holder);
