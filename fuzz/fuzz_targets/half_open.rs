#![no_main]
fuzz::target!(half_open);
