//! The binary, as people and programs use it: real processes, files and sockets.

mod database;
mod lightning;
mod money;
mod process;
mod verbs;
