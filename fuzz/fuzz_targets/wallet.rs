#![no_main]
fuzz::target!(wallet);
