#![no_main]
fuzz::target!(opening);
