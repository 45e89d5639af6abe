#![no_main]
fuzz::target!(acts);
