#![no_main]
fuzz::target!(addresses);
