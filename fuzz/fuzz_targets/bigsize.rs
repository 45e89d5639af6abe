#![no_main]
fuzz::target!(bigsize);
