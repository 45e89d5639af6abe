#![no_main]
fuzz::target!(seed_file);
