#![no_main]
fuzz::target!(features);
